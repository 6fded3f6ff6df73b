// The copy of a message that goes to one next hop: header and body are already in wire form (CRLF,
// dot-stuffed), so this is copying. Adds the one field of product row M6, which says that the copy went over
// TLS on both sides; DKIM never covers it.
import { forwardedField } from '../message/outgoing-copy.ts'
import type { Claim, MessageMeta } from '../queue/message.ts'
import type { QueueStore } from '../queue/store.ts'
import type { Channel } from './client/channel.ts'

/** Octets of one transaction's content, without the final dot. */
export interface OutgoingCopy {
  /** Header, with what we add. */
  readonly head: readonly Uint8Array[]
  /** The body after it, empty line included: in memory, or to be read. */
  readonly body: readonly Uint8Array[] | AsyncIterable<Uint8Array>
  /** Octets of head and body together; a body that yields another number is damaged and never ended by a dot. */
  readonly sizeBytes: number
}

/** Whether the copy on `channel` carries the field: TLS in and TLS out (M6). */
const isMarked = (message: MessageMeta, channel: Channel): boolean =>
  message.receivedOverTls && channel.kind === 'tls'

export function outgoingCopy(
  claim: Claim,
  channel: Channel,
  queue: Pick<QueueStore, 'readBody'>,
): OutgoingCopy {
  const { message, body } = claim
  const head = isMarked(message, channel) ? [forwardedField(), message.header] : [message.header]
  return {
    head,
    body: body.inMemory ?? queue.readBody(message, body),
    sizeBytes: head.reduce((sum, part) => sum + part.length, 0) + body.sizeBytes,
  }
}
