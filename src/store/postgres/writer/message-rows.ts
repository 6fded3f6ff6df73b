// How messages, deliveries and events are written: rows as JSON, octets in one pack, any number of messages in
// one statement. Used for mail that comes in and for the notices that results cause.
import type { EventRow, MessageRecord } from '../../record.ts'
import type { OctetPack } from './pack.ts'

/** A message to be written. */
export interface NewRecord extends MessageRecord {
  /** Names its rows in `chunk`; for an inline body the message's id. */
  readonly bodyId: string
  /** Rows that its body has in `chunk` already, for one that streamed in; `null` for an inline one. */
  readonly chunks: number | null
}

/** How its deliveries are born: leased to a run, or due. `number` says to which part of a batch it belongs. */
export interface Birth {
  readonly number: number
  readonly owner: number | null
  readonly dueAt: number
}

export interface RowSet {
  readonly messages: unknown[]
  readonly deliveries: unknown[]
  readonly bodies: unknown[]
  readonly events: unknown[]
}

export const emptyRowSet = (): RowSet => ({ messages: [], deliveries: [], bodies: [], events: [] })

export function addMessage(rows: RowSet, pack: OctetPack, record: NewRecord, birth: Birth): void {
  const { number, owner, dueAt } = birth
  const key = pack.add([record.wrappedKey])
  const envelope = pack.add([record.envelope])
  rows.messages.push({
    number,
    id: record.id,
    customer: record.customer,
    size_bytes: record.sizeBytes,
    accepted_at: record.acceptedAt,
    expires_at: record.expiresAt,
    recipients: record.deliveries.length,
    body_id: record.bodyId,
    body_bytes: record.bodyBytes,
    master_key: record.masterKey,
    key_from: key.from,
    key_size: key.size,
    envelope_from: envelope.from,
    envelope_size: envelope.size,
  })
  for (const [position, { domain, recipient }] of record.deliveries.entries()) {
    const { from, size } = pack.add([recipient])
    const token = owner === null ? 0 : 1
    rows.deliveries.push({
      number,
      message_id: record.id,
      position,
      domain,
      from,
      size,
      next_at: dueAt,
      owner,
      token,
    })
  }
  if (record.location !== 'inline') return
  const { from, size } = pack.add(record.body)
  rows.bodies.push({ number, body_id: record.bodyId, from, size })
}

export function addEvents(rows: RowSet, events: readonly EventRow[], number: number): void {
  for (const { at, kind, messageId, customer, reversePath, forwardPath, facts } of events) {
    rows.events.push({
      number,
      at,
      kind,
      message_id: messageId,
      customer,
      reverse_path: reversePath,
      forward_path: forwardPath,
      facts,
    })
  }
}

/** Parameters 1 to 5 of a statement with `insertRows`. */
export const rowValues = (rows: RowSet, pack: OctetPack): unknown[] => [
  pack.octets(),
  ...[rows.messages, rows.deliveries, rows.bodies, rows.events].map((list) => JSON.stringify(list)),
]

/**
 * Common table expressions that write the parameters 1 to 5. `from` joins a row `t`, which has a `number`, with
 * what decides whether it is written; empty for everything.
 */
export const insertRows = (from: string): string => `
  new_message AS (
    INSERT INTO message (id, customer, size_bytes, accepted_at, expires_at, recipients, body_id, body_bytes,
        master_key, wrapped_key, envelope)
    SELECT t.id, t.customer, t.size_bytes, t.accepted_at, t.expires_at, t.recipients, t.body_id, t.body_bytes,
        t.master_key, substring($1::bytea FROM t.key_from FOR t.key_size),
        substring($1::bytea FROM t.envelope_from FOR t.envelope_size)
      FROM json_to_recordset($2::json) AS t (number int, id text, customer text, size_bytes bigint,
        accepted_at bigint, expires_at bigint, recipients int, body_id text, body_bytes bigint, master_key text,
        key_from int, key_size int, envelope_from int, envelope_size int) ${from}),
  new_delivery AS (
    INSERT INTO delivery (message_id, position, domain, recipient, next_at, owner, token)
    SELECT t.message_id, t.position, t.domain, substring($1::bytea FROM t."from" FOR t.size), t.next_at, t.owner,
        t.token
      FROM json_to_recordset($3::json) AS t (number int, message_id text, position int, domain text, "from" int,
        size int, next_at bigint, owner bigint, token bigint) ${from}),
  new_chunk AS (
    INSERT INTO chunk (body_id, n, octets)
    SELECT t.body_id, 0, substring($1::bytea FROM t."from" FOR t.size)
      FROM json_to_recordset($4::json) AS t (number int, body_id text, "from" int, size int) ${from}),
  new_event AS (
    INSERT INTO event (at, kind, message_id, customer, reverse_path, forward_path, facts)
    SELECT t.at, t.kind, t.message_id, t.customer, t.reverse_path, t.forward_path, t.facts
      FROM json_to_recordset($5::json) AS t (number int, at bigint, kind text, message_id text, customer text,
        reverse_path text, forward_path text, facts text) ${from})`
