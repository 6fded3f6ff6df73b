// Reads the list of header fields that are taken out of mail (M2): the operator's own or the one shipped. Its
// shape is the message room's; YAML is read in this room only.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type AnonymiseRules, anonymiseRules } from '../message/settings.ts'
import { keyText } from './explain.ts'
import { errorCode } from './secrets.ts'

/** `text`: what is wrong with the file, one line. */
export type LoadedRules =
  | { readonly kind: 'ok'; readonly rules: AnonymiseRules }
  | { readonly kind: 'invalid'; readonly text: string }

const SHIPPED = join(import.meta.dirname, '../../config/anonymise.yaml')
const FILE_OCTETS_MAX = 1024 * 1024

/** The rules in `path`, or those shipped for `null`. */
export function loadAnonymiseRules(path: string | null): LoadedRules {
  const file = path ?? SHIPPED
  const invalid = (text: string): LoadedRules => ({ kind: 'invalid', text: `${file} ${text}` })
  let value: unknown
  try {
    if (statSync(file).size > FILE_OCTETS_MAX) return invalid('is over 1 MB')
    value = parse(readFileSync(file, 'utf8'), { maxAliasCount: 100 })
  } catch (thrown) {
    return invalid(
      errorCode(thrown).startsWith('E') ? `cannot be read (${errorCode(thrown)})` : 'is not YAML',
    )
  }
  const parsed = anonymiseRules.safeParse(value)
  if (parsed.success) return { kind: 'ok', rules: parsed.data }
  const [issue] = parsed.error.issues
  const key = keyText((issue?.path ?? []).filter((step) => typeof step !== 'symbol'))
  return invalid(`is not valid: ${key === '' ? '' : `${key}: `}${issue?.message ?? ''}`)
}
