// The header of a message as octets: where it ends, which fields it has, and its way back, byte for byte.
// It takes only what every parser reads alike. What they are known to disagree about makes the header
// malformed: white space before the colon, a first line that is a continuation, lines of blanks only, bare
// CR, LF or NUL, and other control characters (some parsers take VT or FF for a line end).
// It says nothing about what the values mean. RFC 5322 §2.2, §3.6.8; RFC 6532 §3.2. Product rows S5, M3.
import type { HeaderField } from './header-field.ts'

/** A well-formed header, fields in their order. */
export interface HeaderBlock {
  readonly fields: readonly HeaderField[]
}

/** Bounds of a header: number of fields, and octets in all. */
export interface HeaderLimits {
  readonly fieldsMax: number
  readonly octetsMax: number
}

/** What octets turned out to be. `reason` completes "the header is malformed: …" and holds no value. */
export type ParsedHeader =
  | { readonly kind: 'header'; readonly header: HeaderBlock }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'too-large' }

/**
 * Where the header of a message ends: the offset of the empty line (its CRLF), or the length when there is
 * none. 0 when the message begins with an empty line.
 */
export function findHeaderEnd(bytes: Buffer): number {
  if (bytes[0] === 0x0d && bytes[1] === 0x0a) return 0
  const found = bytes.indexOf('\r\n\r\n', 0, 'latin1')
  return found === -1 ? bytes.length : found + 2
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]|\r(?!\n)|(?<!\r)\n/
const BLANK_LINE = /(?:^|\n)[ \t]*\r\n/
const FIELD_END = /\r\n(?![ \t])/g
const FIELD_NAME = /^[!-9;-~]+(?=:)/

/**
 * Takes the octets of a header apart: as sent, after dot-unstuffing, every line with its CRLF, without the
 * empty line at its end. The fields are views of `header`, so it must not be changed afterwards.
 */
export function parseHeaderBlock(header: Buffer, limits: HeaderLimits): ParsedHeader {
  if (header.length > limits.octetsMax) return { kind: 'too-large' }
  const text = header.toString('latin1') // offsets in the text are offsets in the octets
  const reason = faultOfLines(text)
  if (reason !== null) return { kind: 'malformed', reason }
  const fields: HeaderField[] = []
  let start = 0
  for (const { index } of text.matchAll(FIELD_END)) {
    if (fields.length === limits.fieldsMax) return { kind: 'too-large' }
    const name = FIELD_NAME.exec(text.slice(start, index))?.[0]
    if (name === undefined) {
      return {
        kind: 'malformed',
        reason: `field ${fields.length + 1} ${faultOfField(text.slice(start, index))}`,
      }
    }
    fields.push({ name, key: name.toLowerCase(), raw: header.subarray(start, index + 2) })
    start = index + 2
  }
  return { kind: 'header', header: { fields } }
}

/** The octets of these fields. `serialiseHeader(parse(x).fields)` is `x`. */
export const serialiseHeader = (fields: readonly Pick<HeaderField, 'raw'>[]): Buffer =>
  Buffer.concat(fields.map(({ raw }) => raw))

/** What is wrong with the lines as lines, or `null`. */
function faultOfLines(text: string): string | null {
  if (CONTROL.test(text)) return 'it holds a control character or a bare CR or LF'
  if (text !== '' && !text.endsWith('\r\n')) return 'its last line does not end'
  if (BLANK_LINE.test(text)) return 'it holds a line of blanks only'
  if (/^[ \t]/.test(text)) return 'its first line begins with a blank'
  return null
}

function faultOfField(field: string): string {
  if (!field.includes(':')) return 'has no colon'
  if (/^[!-9;-~]+[ \t\r\n]+:/.test(field)) return 'has white space before the colon'
  return 'has a name with characters that are not allowed'
}
