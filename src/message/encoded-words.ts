// Header text as people read it: encoded words (RFC 2047, with the language tags of RFC 2231 §5) in every
// form that real clients write, decoded by libmime. It is lenient on purpose, because it serves reading (a
// mark in the subject, a display name, the subject in a notice); who wrote a message is decided on the raw
// text, with the decoded one as a second look (`mailbox-list.ts`).
import libmime from 'libmime'
import { type HeaderField, lenientFieldText } from './header-field.ts'

/** The value of a field, unfolded and decoded. Always yields a text; undecodable octets become U+FFFD. */
export const decodedFieldText = (field: HeaderField): string => decodeWords(lenientFieldText(field))

/**
 * Decodes the encoded words in an unfolded value. Neighbouring words are joined, also within a character;
 * an unknown charset is read as UTF-8; UTF-7 is not decoded (it is used to hide things).
 */
export const decodeWords = (text: string): string => libmime.decodeWords(plainCharsets(text))

/**
 * libmime 5.6.4 decodes only words whose charset consists of letters, digits, `_` and `-`; the registered
 * names `ANSI_X3.4-1968` (what some programs write in the C locale) and `ISO_8859-1:1987` do not. They are
 * rewritten to the spelling that its tables know.
 */
const plainCharsets = (text: string): string =>
  text.replace(
    /=\?([^?\s]{1,60})\?(?=[BbQq]\?)/g,
    (_, charset: string) => `=?${charset.replace(/:\d{4}/, '').replace(/[^\w*-]/g, '')}?`,
  )
