// Did the sender ask that this message may travel in the clear? (Product rows M4, M5.) Three spellings, the
// first that is found counts: `[Klartext]` in the subject, `X-klartext: yes`, `TLS-Required: No` (RFC 8689 §5).
// Whether the customer may, and that REQUIRETLS outranks it, is decided elsewhere.
// The subject is decoded (RFC 2047) and NFC-normalised, then the tag must stand there in plain characters, case
// ignored. What only looks like it (full-width brackets, letters of other scripts, invisible characters) is
// `unclear`, so that the sender is told; unless another spelling already asks. Several subjects are always
// unclear: which of them people see depends on their program.
import { decodedFieldText } from './encoded-words.ts'
import type { HeaderBlock } from './header-block.ts'
import { fieldsNamed, fieldText } from './header-field.ts'

export type CleartextRequest =
  | { readonly kind: 'none' }
  | { readonly kind: 'requested'; readonly source: 'subject-tag' | 'x-klartext' | 'tls-required-no' }
  | { readonly kind: 'unclear'; readonly what: 'look-alike' | 'several-subjects' }

export interface CleartextSettings {
  /** `front`: the tag counts only at the very beginning, so not in `AW: [Klartext] …`. */
  readonly position: 'anywhere' | 'front'
}

/** Reads the request out of the header. Changes nothing: the subject travels as it came. */
export function readCleartextRequest(header: HeaderBlock, settings: CleartextSettings): CleartextRequest {
  const subjects = fieldsNamed(header, 'subject')
  if (subjects.length > 1) return { kind: 'unclear', what: 'several-subjects' }
  const subject = subjects.map(decodedFieldText).join('').normalize('NFC')
  if (holdsTag(subject, settings)) return { kind: 'requested', source: 'subject-tag' }
  if (onlyValue(header, 'x-klartext') === 'yes') return { kind: 'requested', source: 'x-klartext' }
  if (onlyValue(header, 'tls-required') === 'no') return { kind: 'requested', source: 'tls-required-no' }
  if (holdsTag(skeleton(subject), settings)) return { kind: 'unclear', what: 'look-alike' }
  return { kind: 'none' }
}

function holdsTag(text: string, { position }: CleartextSettings): boolean {
  return position === 'front' ? /^\s*\[klartext\]/i.test(text) : /\[klartext\]/i.test(text)
}

/** The value of a field that stands there exactly once, in lower case; `null` otherwise. */
function onlyValue(header: HeaderBlock, key: string): string | null {
  const [field, ...others] = fieldsNamed(header, key)
  return field === undefined || others.length > 0 ? null : (fieldText(field)?.toLowerCase() ?? null)
}

/** Characters that pass for one of the tag's, after NFKC; in the manner of UTS #39, for ten characters only. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  '[': '【〔〖〘〚⟦⁅❲⦋⦍⦏「『',
  ']': '】〕〗〙〛⟧⁆❳⦌⦎⦐」』',
  k: 'КкκΚᴋқҚҟ',
  l: 'iI1|ıΙІіӀӏʟǀ',
  a: 'АаΑαɑᴀ',
  r: 'гΓʀᴦ',
  t: 'ТтΤτᴛ',
  e: 'ЕеΕεᴇҽє',
  x: 'ХхΧχ×',
}

const PLAIN = new Map(
  Object.entries(LOOK_ALIKES).flatMap(([plain, others]) =>
    [...others].map((other) => [other, plain] as const),
  ),
)

/** What the text looks like: compatibility forms made plain, invisible characters and loose marks dropped. */
const skeleton = (text: string): string =>
  [...text.normalize('NFKC').replace(/[\p{Cf}\p{Mn}\p{Me}\p{Default_Ignorable_Code_Point}]/gu, '')]
    .map((character) => PLAIN.get(character) ?? character)
    .join('')
