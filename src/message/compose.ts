// Composes a message of our own: header fields and a MIME tree in, header and body in wire form out.
// nodemailer's MIME node does boundaries, transfer encodings and encoded words; the top header is written
// here, so that an address or a message id leaves exactly as it was given. Knows nothing about what the
// message says: that is notification's part. RFC 5322, RFC 2045–2047.
import { isAscii } from 'node:buffer'
import { encodeWord, foldLines } from 'nodemailer/lib/mime-funcs'
import MimeNode from 'nodemailer/lib/mime-node'
import { stuffDots } from './wire.ts'

/**
 * One field of the top header. `text` is unstructured and becomes encoded words where needed; `phrase` is a
 * display name before an address; `exact` is written as it stands. Control characters never get through.
 */
export type ComposedField =
  | { readonly name: string; readonly form: 'text' | 'exact'; readonly value: string }
  | { readonly name: string; readonly form: 'phrase'; readonly phrase: string; readonly address: string }

/** A node of the MIME tree. */
export type ComposedPart =
  | { readonly kind: 'text'; readonly contentType: 'text/plain' | 'text/html'; readonly text: string }
  /** Octets for machines; 7bit and 8bit travel untouched, line ends must be CRLF. */
  | {
      readonly kind: 'octets'
      readonly contentType: string
      readonly encoding: '7bit' | '8bit' | 'quoted-printable'
      readonly content: Buffer
    }
  /** `contentType` may carry parameters; the boundary is added. */
  | { readonly kind: 'multipart'; readonly contentType: string; readonly parts: readonly ComposedPart[] }

/** In the form in which the queue keeps a message: CRLF line ends, leading dots doubled. */
export interface ComposedMessage {
  /** Ends with the CRLF of its last field. */
  readonly header: Buffer
  /** Begins with the empty line, ends with CRLF. */
  readonly body: Buffer
  /** The body holds octets above 127. */
  readonly eightBit: boolean
  /** The header holds UTF-8. RFC 6531. */
  readonly headerUtf8: boolean
}

const LINE_LENGTH = 76
/** Encoded words that fit a folded line together with a short field name. */
const ENCODED_WORD_LENGTH = 52
/** A word of 240 characters with more behind it: at most 960 octets of UTF-8. */
const UNFOLDABLE = /(\S{240})(?=\S)/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]+/g

const oneLine = (text: string): string => text.replace(CONTROLS, ' ').trim()

/** Unstructured text for a header field. Anything but printable ASCII, and all that looks encoded, is encoded. */
function encodeText(text: string): string {
  const line = oneLine(text)
  return /[^\x20-\x7e]|=\?/.test(line) ? encodeWord(line, 'Q', ENCODED_WORD_LENGTH) : line
}

/** A display name: an atom as it is, other ASCII quoted, the rest as encoded words. RFC 5322 §3.2.5. */
function encodePhrase(text: string): string {
  const line = oneLine(text)
  if (/^[A-Za-z0-9 ]*$/.test(line)) return line
  return /[^\x20-\x7e]|=\?/.test(line)
    ? encodeWord(line, 'Q', ENCODED_WORD_LENGTH)
    : `"${line.replace(/["\\]/g, '\\$&')}"`
}

function encodeField(field: ComposedField): string {
  const value =
    field.form === 'phrase'
      ? `${encodePhrase(field.phrase)} <${oneLine(field.address)}>`.trimStart()
      : field.form === 'text'
        ? encodeText(field.value)
        : oneLine(field.value)
  return foldField(field.name, value)
}

/**
 * A field folded at spaces, without the final CRLF. Words that would break RFC 5322 §2.1.1 (998 octets) are
 * cut. `value` is one line without control characters.
 */
export const foldField = (name: string, value: string): string =>
  foldLines(`${name}: ${value.replace(UNFOLDABLE, '$1 ')}`, LINE_LENGTH)

const toCrlf = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n')

/** Adds `part` and everything below it to the tree. */
function addPart(parent: MimeNode, part: ComposedPart): void {
  switch (part.kind) {
    case 'text':
      parent
        .createChild(`${part.contentType}; charset=utf-8`, { textEncoding: 'Q' })
        .setContent(toCrlf(part.text))
      return
    case 'octets':
      if (part.encoding === 'quoted-printable') {
        const node = parent.createChild(part.contentType, { textEncoding: 'Q' })
        node.setHeader('Content-Transfer-Encoding', part.encoding).setContent(part.content)
      } else {
        const fields = `Content-Type: ${part.contentType}\r\nContent-Transfer-Encoding: ${part.encoding}\r\n\r\n`
        parent.createChild(part.contentType).setRaw(Buffer.concat([Buffer.from(fields), part.content]))
      }
      return
    case 'multipart': {
      const node = parent.createChild(part.contentType)
      for (const child of part.parts) addPart(node, child)
      return
    }
    default:
      part satisfies never
  }
}

/**
 * Puts a message together. `boundarySeed` makes the boundaries: unpredictable and unique per message, or
 * fixed in tests. `fields` are written in order; MIME-Version and Content-Type are added after them.
 */
export async function composeMessage(
  fields: readonly ComposedField[],
  content: ComposedPart,
  boundarySeed: string,
): Promise<ComposedMessage> {
  // The content is built as a child of a node that is never written, because nodemailer adds fields to a root.
  const shelf = new MimeNode('multipart/mixed', {
    baseBoundary: boundarySeed,
    boundaryPrefix: '=_',
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  addPart(shelf, content)
  const built = (await shelf.childNodes[0]?.build()) ?? Buffer.alloc(0)
  const headerEnd = built.indexOf('\r\n\r\n') + 2
  const top = [...fields.map(encodeField), 'MIME-Version: 1.0', ''].join('\r\n')
  const header = Buffer.concat([Buffer.from(top, 'utf8'), built.subarray(0, headerEnd)])
  const body = built.subarray(headerEnd)
  return {
    header: stuffDots(header),
    body: stuffDots(body),
    eightBit: !isAscii(body),
    headerUtf8: !isAscii(header),
  }
}
