// One header field as it came: a view of its octets, and ways to read it. Nothing here changes an octet.
// RFC 5322 §2.2 (fields, unfolding), RFC 6532 §3.2 (UTF-8 in values).
import { isAscii, isUtf8 } from 'node:buffer'

/** One field of a header. */
export interface HeaderField {
  /** The name as written, e.g. `Message-Id`. */
  readonly name: string
  /** The name in lower case, for comparing. */
  readonly key: string
  /** The whole field with its folds and its last CRLF; a view of the header, not a copy. */
  readonly raw: Buffer
}

interface Fields {
  readonly fields: readonly HeaderField[]
}

/** All fields of that name (`key` in lower case), in their order. */
export const fieldsNamed = (header: Fields, key: string): HeaderField[] =>
  header.fields.filter((field) => field.key === key)

/** The value unfolded (RFC 5322 §2.2.3) and trimmed of blanks, or `null` when it is not valid UTF-8. */
export function fieldText(field: HeaderField): string | null {
  const value = field.raw.subarray(field.name.length + 1)
  return isUtf8(value) ? unfold(value.toString('utf8')) : null
}

/**
 * The value unfolded and trimmed, whatever its octets: what is not valid UTF-8 is read as ISO-8859-1, which
 * keeps all ASCII in place. For looking things up, never for deciding who wrote a message.
 */
export const lenientFieldText = (field: HeaderField): string =>
  fieldText(field) ?? unfold(field.raw.toString('latin1', field.name.length + 1))

/** True when a field holds an octet above 127, so that the next hop must offer SMTPUTF8. RFC 6532 §3. */
export const hasUtf8 = (header: Fields): boolean => header.fields.some(({ raw }) => !isAscii(raw))

const unfold = (value: string): string =>
  value.replaceAll('\r\n', '').replace(/^[ \t]+|(?<![ \t])[ \t]+$/g, '')
