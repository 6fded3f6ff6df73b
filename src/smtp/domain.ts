// Domain names as SMTP routes them: A-labels in lower case, nothing else. RFC 5321 §4.1.2, RFC 5891.
// `url.domainToASCII` is a URL host parser (it takes `127.1`, `%61` and full-width letters), so it is only
// trusted when its answer leads back to what was written.
import { domainToASCII, domainToUnicode } from 'node:url'

declare const brand: unique symbol

/** A checked host or mail domain: LDH labels in lower case, IDN as A-labels, last label not numeric. */
export type Domain = string & { readonly [brand]: 'Domain' }

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const WORD_CHARACTERS = /^[\p{L}\p{M}\p{N}.-]+$/u
const DOMAIN_LENGTH_MAX = 253

/**
 * A domain from text in A-label or U-label spelling, or `null` when it is not one. Address literals, a
 * trailing dot, numeric last labels (`127.1`) and U-labels that do not survive the way to A-labels and back
 * (full-width letters, ideographic dots, zero-width characters) are refused.
 */
export function parseDomain(text: string): Domain | null {
  if (text.length === 0 || text.length > DOMAIN_LENGTH_MAX) return null
  const lower = text.toLowerCase()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the class is "not ASCII"
  const isAscii = !/[^\u0000-\u007f]/.test(lower)
  if (isAscii && !lower.split('.').every((label) => LABEL.test(label))) return null
  if (!isAscii && !WORD_CHARACTERS.test(lower)) return null
  const ascii = isAscii && !lower.includes('xn--') ? lower : domainToASCII(lower)
  if (ascii.length === 0 || ascii.length > DOMAIN_LENGTH_MAX) return null
  if (!ascii.split('.').every((label) => LABEL.test(label))) return null
  if (/(?:^|\.)[0-9]+$/.test(ascii) || /(?:^|\.)0x[0-9a-f]*$/.test(ascii)) return null
  if (!ascii.includes('xn--')) return ascii === lower ? (ascii as Domain) : null
  // An A-label must stand for letters that lead back to it: `xn--x-ka` hides a control character.
  const unicode = domainToUnicode(ascii)
  if (!WORD_CHARACTERS.test(unicode) || domainToASCII(unicode) !== ascii) return null
  if (unicode.split('.').some((label) => label.startsWith('xn--'))) return null
  return lower.normalize('NFC') === unicode || lower === ascii ? (ascii as Domain) : null
}

/** The spelling for people: U-labels where there are any. For texts only, never for routing. */
export const displayDomain = (domain: Domain): string => domainToUnicode(domain) || domain

/** True when `domain` is `parent` or lies below it. */
export const isWithin = (domain: Domain, parent: Domain): boolean =>
  domain === parent || domain.endsWith(`.${parent}`)
