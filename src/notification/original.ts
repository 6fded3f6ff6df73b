// What a notice takes from the header of the message it is about: subject, message id, TLS-Required, and the
// header itself for the third part. The header comes as the queue keeps it: anonymised and dot-stuffed.
import { decodedFieldText } from '../message/encoded-words.ts'
import { parseHeaderBlock, serialiseHeader } from '../message/header-block.ts'
import { fieldsNamed, type HeaderField, lenientFieldText } from '../message/header-field.ts'
import { unstuffDots } from '../message/wire.ts'
import type { NoticeFacts } from './notice-text.ts'

export interface Original {
  /** Empty when the header could not be read. */
  readonly fields: readonly HeaderField[]
  /** Decoded; `none` when there is no Subject field. */
  readonly subject: NoticeFacts['subject']
  /** `<…@…>`, `null` when there is none or it is not well-formed enough to be repeated. */
  readonly messageId: string | null
  /** `TLS-Required: No`, which a notice repeats. RFC 8689 §5. */
  readonly tlsRequiredNo: boolean
}

/** What a header may still show when the subject is withheld: who, to whom, when, which. */
const NEUTRAL_FIELDS = ['from', 'to', 'cc', 'date', 'message-id']
const MESSAGE_ID = /^<[!-;=?-~]{1,200}@[!-;=?-~]{1,200}>$/
/** No stored header is larger: submission has tighter bounds. */
const LIMITS = { fieldsMax: 100_000, octetsMax: 64 * 1024 * 1024 }
const RETURNED_OCTETS_MAX = 256 * 1024

/** Reads a stored header. Never throws: what cannot be read is left out of the notice. */
export function readOriginal(stored: Uint8Array): Original {
  const parsed = parseHeaderBlock(unstuffDots(stored), LIMITS)
  const fields = parsed.kind === 'header' ? parsed.header.fields : []
  const first = (key: string): HeaderField | undefined => fieldsNamed({ fields }, key)[0]
  const text = (key: string): string => lenientFieldText(first(key) ?? EMPTY_FIELD)
  const subject = first('subject')
  const messageId = text('message-id')
  return {
    fields,
    subject: subject ? { kind: 'subject', text: decodedFieldText(subject) } : { kind: 'none' },
    messageId: MESSAGE_ID.test(messageId) ? messageId : null,
    tlsRequiredNo: text('tls-required').toLowerCase() === 'no',
  }
}

const EMPTY_FIELD: HeaderField = { name: '', key: '', raw: Buffer.alloc(0) }

/**
 * The header to return with a notice: whole fields, at most 256 KB. Without the subject only fields that say
 * nothing about it.
 */
export function returnedHeader(original: Original, withSubject: boolean): Buffer {
  const kept: HeaderField[] = []
  let octets = 0
  for (const field of original.fields) {
    if (!withSubject && !NEUTRAL_FIELDS.includes(field.key)) continue
    octets += field.raw.length
    if (octets > RETURNED_OCTETS_MAX) break
    kept.push(field)
  }
  return serialiseHeader(kept)
}
