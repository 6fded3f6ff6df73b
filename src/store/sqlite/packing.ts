// How a message travels to the writer: what is sealed goes into the packet, the rest into the row.
import type { MessageRecord } from '../record.ts'
import type { MessageRow } from './writer/protocol.ts'

export interface Packed<Row> {
  readonly row: Row
  readonly octets: readonly Uint8Array[]
}

/** In the order that `MessageRow` promises. */
export function packMessage(record: MessageRecord): Packed<MessageRow> {
  const { wrappedKey, envelope, body, deliveries, ...rest } = record
  return {
    row: {
      ...rest,
      wrappedKeyBytes: wrappedKey.length,
      envelopeBytes: envelope.length,
      deliveries: deliveries.map(({ domain, recipient }) => ({ domain, recipientBytes: recipient.length })),
      storedBytes: body.reduce((sum, { length }) => sum + length, 0),
    },
    octets: [wrappedKey, envelope, ...deliveries.map(({ recipient }) => recipient), ...body],
  }
}
