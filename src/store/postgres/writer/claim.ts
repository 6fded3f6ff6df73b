// Finds due deliveries, oldest first, and takes them, without being slowed by a million that wait, by a dead
// site's many, or by other nodes that do the same (what they have locked is passed over).
//
// First the index by time is walked, at most SCAN_ROWS entries. When destinations to skip fill that walk, each
// other destination is asked for its oldest instead, going round from call to call, so that a dead site with
// 100,000 due deliveries hides nobody behind it.
import { Fault } from '../../../runtime/fault.ts'
import { integer, octets, octetsOrNull, type Row, text, textOrNull } from '../session/columns.ts'
import type { Connection, Statement } from '../session/connection.ts'

const SCAN_ROWS = 4096
const DESTINATIONS_PER_CALL = 1024
const PER_DESTINATION = 20
/** A delivery without its message is kept for an operator to see, then it goes. */
const ORPHAN_KEPT_MS = 5 * 86_400_000

/** A message's key as it is stored. */
export interface StoredKey {
  readonly id: string
  readonly masterKey: string
  readonly wrappedKey: Uint8Array
}

/** A message as it is read. */
export interface StoredMessage extends StoredKey {
  readonly customer: string | null
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly bodyId: string
  readonly bodyBytes: number
  readonly envelope: Uint8Array
}

export interface ClaimedDelivery {
  readonly messageId: string
  readonly position: number
  readonly token: number
  readonly domain: string
  readonly recipient: Uint8Array
  readonly state: Uint8Array | null
  readonly route: string | null
  readonly order: 'deliver' | 'drop' | 'drop-silently'
}

export interface Found {
  readonly deliveries: readonly ClaimedDelivery[]
  readonly messages: readonly StoredMessage[]
  /** Deliveries whose message is gone: damage. They were put aside. */
  readonly orphaned: number
}

export const KEY_COLUMNS = 'id, master_key, wrapped_key'
export const MESSAGE_COLUMNS = `${KEY_COLUMNS}, customer, size_bytes, accepted_at, expires_at, body_id, body_bytes,
  envelope`

export const keyOf = (row: Row): StoredKey => ({
  id: text(row, 'id'),
  masterKey: text(row, 'master_key'),
  wrappedKey: octets(row, 'wrapped_key'),
})

/** The row with `MESSAGE_COLUMNS`. */
export const messageOf = (row: Row): StoredMessage => ({
  ...keyOf(row),
  customer: textOrNull(row, 'customer'),
  sizeBytes: integer(row, 'size_bytes'),
  acceptedAt: integer(row, 'accepted_at'),
  expiresAt: integer(row, 'expires_at'),
  bodyId: text(row, 'body_id'),
  bodyBytes: integer(row, 'body_bytes'),
  envelope: octets(row, 'envelope'),
})

/**
 * Takes the rows of `candidate` that are still to be had. Parameters: now, owner, limit. The conditions are
 * written so that no partial index fits them: before the first statistics the planner takes those for empty,
 * and would walk one for each row (2 s instead of 10 ms with 200,000 due).
 */
const TAKE = `
  , taken AS (
    SELECT d.message_id, d.position FROM candidate AS c
      JOIN delivery AS d ON d.message_id = c.message_id AND d.position = c.position
     WHERE (d.owner IS NULL AND d.held IS NULL AND d.next_at <= $1::bigint) IS TRUE
     ORDER BY c.next_at LIMIT $3::bigint FOR UPDATE OF d SKIP LOCKED)
  UPDATE delivery AS d SET owner = $2::bigint, token = d.token + 1 FROM taken AS t
   WHERE d.message_id = t.message_id AND d.position = t.position
  RETURNING d.message_id, d.position, d.token, d.next_at, d.domain, d.recipient, d.state, d.route, d.ordered,
    (SELECT scanned FROM walk) AS scanned`

const BY_TIME: Statement = {
  name: 'claim-by-time',
  text: `WITH walked AS MATERIALIZED (
      SELECT message_id, position, next_at, destination FROM delivery
       WHERE owner IS NULL AND held IS NULL AND next_at <= $1::bigint ORDER BY next_at LIMIT ${SCAN_ROWS}),
    walk AS MATERIALIZED (SELECT count(*) AS scanned FROM walked),
    candidate AS (SELECT * FROM walked WHERE destination <> ALL($4::text[]) ORDER BY next_at)
    ${TAKE}`,
}
/** How many entries the walk by time would see: asked when it found too little. */
const WALK: Statement = {
  name: 'claim-walk',
  text: `SELECT count(*) AS scanned FROM (SELECT FROM delivery
     WHERE owner IS NULL AND held IS NULL AND next_at <= $1::bigint ORDER BY next_at LIMIT ${SCAN_ROWS}) AS w`,
}
/** The next destinations in order, each found by one look at the index. */
const DESTINATIONS: Statement = {
  name: 'claim-destinations',
  text: `WITH RECURSIVE name AS (
      (SELECT destination FROM delivery WHERE owner IS NULL AND held IS NULL AND destination > $1::text
        ORDER BY destination LIMIT 1)
      UNION ALL
      SELECT (SELECT d.destination FROM delivery AS d
               WHERE d.owner IS NULL AND d.held IS NULL AND d.destination > name.destination
               ORDER BY d.destination LIMIT 1)
        FROM name WHERE name.destination IS NOT NULL)
    SELECT destination FROM name WHERE destination IS NOT NULL LIMIT ${DESTINATIONS_PER_CALL}`,
}
const BY_DESTINATION: Statement = {
  name: 'claim-by-destination',
  text: `WITH walk AS (SELECT 0::bigint AS scanned),
    candidate AS (
      SELECT f.* FROM unnest($4::text[]) AS n (destination) CROSS JOIN LATERAL (
        SELECT message_id, position, next_at FROM delivery AS d
         WHERE d.owner IS NULL AND d.held IS NULL AND d.destination = n.destination AND d.next_at <= $1::bigint
         ORDER BY d.next_at LIMIT ${PER_DESTINATION}) AS f
      ORDER BY f.next_at)
    ${TAKE}`,
}
const MESSAGES: Statement = {
  name: 'claim-messages',
  text: `SELECT ${MESSAGE_COLUMNS} FROM message WHERE id = ANY($1::text[])`,
}
const PUT_ASIDE: Statement = {
  name: 'claim-put-aside',
  text: `WITH lost AS (
      DELETE FROM delivery WHERE message_id = ANY($1::text[]) AND (owner = $2::bigint) IS TRUE AND ordered <> 'deliver')
    UPDATE delivery SET owner = NULL, held = 'damaged', next_at = $3::bigint
     WHERE message_id = ANY($1::text[]) AND (owner = $2::bigint) IS TRUE AND ordered = 'deliver'`,
}

export interface ClaimOrder {
  readonly now: number
  readonly owner: number
  readonly limit: number
  readonly skip: readonly string[]
}

/** Keeps the destination at which the last round by destination ended. */
export function createClaimer(): (connection: Connection, order: ClaimOrder) => Promise<Found> {
  let reached = ''

  const nextDestinations = async (connection: Connection, skip: readonly string[]): Promise<string[]> => {
    const { rows } = await connection.query(DESTINATIONS, [reached])
    const names = rows.map((row) => text(row, 'destination'))
    const whole = names.length < DESTINATIONS_PER_CALL && reached !== ''
    reached = names.length < DESTINATIONS_PER_CALL ? '' : (names.at(-1) ?? '')
    if (whole) {
      const again = await connection.query(DESTINATIONS, [''])
      names.push(...again.rows.map((row) => text(row, 'destination')))
    }
    // What is to be dropped has none, and is never skipped.
    const skipped = new Set(skip)
    return ['', ...new Set(names)].filter((name) => !skipped.has(name))
  }

  return async (connection, { now, owner, limit, skip }) => {
    const first = await connection.query(BY_TIME, [now, owner, limit, skip])
    const rows = [...first.rows]
    if (rows.length < limit && skip.length > 0 && (await isWalkFull(connection, now, rows))) {
      const names = await nextDestinations(connection, skip)
      const more = await connection.query(BY_DESTINATION, [now, owner, limit - rows.length, names])
      rows.push(...more.rows)
    }
    rows.sort((a, b) => integer(a, 'next_at') - integer(b, 'next_at'))
    const deliveries = rows.map(claimedOf)
    const ids = [...new Set(deliveries.map(({ messageId }) => messageId))]
    if (ids.length === 0) return { deliveries, messages: [], orphaned: 0 }
    const messages = (await connection.query(MESSAGES, [ids])).rows.map(messageOf)
    const known = new Set(messages.map(({ id }) => id))
    const missing = ids.filter((id) => !known.has(id))
    if (missing.length > 0) await connection.query(PUT_ASIDE, [missing, owner, now + ORPHAN_KEPT_MS])
    const whole = deliveries.filter(({ messageId }) => known.has(messageId))
    return { deliveries: whole, messages, orphaned: deliveries.length - whole.length }
  }
}

/** Did the walk end before the due deliveries did? What was taken meanwhile counts as walked. */
async function isWalkFull(connection: Connection, now: number, taken: readonly Row[]): Promise<boolean> {
  const [row = {}] = taken
  if (taken.length > 0) return integer(row, 'scanned') >= SCAN_ROWS
  const { rows } = await connection.query(WALK, [now])
  return integer(rows[0] ?? {}, 'scanned') >= SCAN_ROWS
}

function claimedOf(row: Row): ClaimedDelivery {
  const ordered = text(row, 'ordered')
  return {
    messageId: text(row, 'message_id'),
    position: integer(row, 'position'),
    token: integer(row, 'token'),
    domain: text(row, 'domain'),
    recipient: octets(row, 'recipient'),
    state: octetsOrNull(row, 'state'),
    route: textOrNull(row, 'route'),
    order: ordered === 'drop' || ordered === 'drop-silently' ? ordered : 'deliver',
  }
}

/** Never a claim without a run that it belongs to. */
export function ownerOf(incarnation: number | null): number {
  if (incarnation !== null) return incarnation
  throw new Fault('store-unavailable', 'this gateway has no valid lease at the moment')
}
