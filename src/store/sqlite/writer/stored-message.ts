// A message as it is written and as it is read: the columns, whichever version wrote them.
import type { DatabaseSync } from 'node:sqlite'
import { integer, location, octets, octetsOrNull, type Row, text, textOrNull } from './columns.ts'
import type { MessageRow, StoredKey, StoredMessage } from './protocol.ts'

/** Takes the next octets of a request. */
export type Take = (length: number) => Uint8Array

/** Reads the octets of a request piece by piece, in the order in which they were packed. */
export const reader = (packed: Uint8Array): Take => {
  let position = 0
  return (length) => {
    position += length
    return packed.subarray(position - length, position)
  }
}

/** Octets that belong to the row in its packet. */
export const packedBytes = (row: MessageRow): number =>
  row.wrappedKeyBytes +
  row.envelopeBytes +
  row.deliveries.reduce((sum, { recipientBytes }) => sum + recipientBytes, 0) +
  row.storedBytes

const NOTHING = new Uint8Array(0)

/** Writes messages with their deliveries, owned by `owner` or due at `dueAt`. */
export function messageWriter(queue: DatabaseSync) {
  const message = queue.prepare(
    `INSERT INTO message (id, customer, reverse_path, size_bytes, accepted_at, expires_at, location, body_bytes,
       meta, header, master_key, wrapped_key, envelope) VALUES (?, ?, '', ?, ?, ?, ?, ?, '', ?, ?, ?, ?)`,
  )
  const body = queue.prepare('INSERT INTO body (message, octets) VALUES (?, ?)')
  const delivery = queue.prepare(
    `INSERT INTO delivery (message, position, domain, forward_path, recipient, next_at, owner, token,
       sealed_recipient) VALUES (?, ?, ?, '', '', ?, ?, ?, ?)`,
  )
  return (row: MessageRow, take: Take, owner: number | null, dueAt: number): void => {
    const wrappedKey = take(row.wrappedKeyBytes)
    const { lastInsertRowid: seq } = message.run(
      row.id,
      row.customer,
      row.sizeBytes,
      row.acceptedAt,
      row.expiresAt,
      row.location,
      row.bodyBytes,
      NOTHING,
      row.masterKey,
      wrappedKey,
      take(row.envelopeBytes),
    )
    const token = owner === null ? 0 : 1
    for (const [position, { domain, recipientBytes }] of row.deliveries.entries()) {
      delivery.run(seq, position, domain, dueAt, owner, token, take(recipientBytes))
    }
    if (row.location === 'inline') body.run(seq, take(row.storedBytes))
  }
}

export const KEY_COLUMNS = 'id, master_key, wrapped_key'
export const MESSAGE_COLUMNS = `${KEY_COLUMNS}, customer, size_bytes, accepted_at, expires_at, location, body_bytes,
  meta, header, envelope`

export const keyOf = (row: Row): StoredKey => ({
  id: text(row, 'id'),
  masterKey: text(row, 'master_key'),
  wrappedKey: octetsOrNull(row, 'wrapped_key') ?? NOTHING,
})

/** The row with `MESSAGE_COLUMNS`. */
export const messageOf = (row: Row): StoredMessage => ({
  ...keyOf(row),
  customer: textOrNull(row, 'customer'),
  sizeBytes: integer(row, 'size_bytes'),
  acceptedAt: integer(row, 'accepted_at'),
  expiresAt: integer(row, 'expires_at'),
  location: location(row),
  bodyBytes: integer(row, 'body_bytes'),
  // Before schema 2 meta and header had columns of their own.
  envelope:
    octetsOrNull(row, 'envelope') ??
    Buffer.concat([Buffer.from(`${text(row, 'meta')}\n`), octets(row, 'header')]),
})

/** Recipient and state of a delivery `d`, whichever version wrote them. */
export const SEALED_COLUMNS = `coalesce(d.sealed_recipient, CAST(d.recipient AS BLOB)) AS recipient,
  coalesce(d.sealed_state, CAST(d.state AS BLOB)) AS state`
