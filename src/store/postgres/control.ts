// What operators see of the queue and may do to it: the same in a gateway and in the command line. A listing
// reads pages, a change of a million deliveries runs in steps with a commit each: mail waits for neither.
import type { DeliveryFilter, MasterKeyControl, QueueControl, QueueListing } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { formatReply } from '../../smtp/reply.ts'
import { decodeRecipient, decodeState, openMessage } from '../record.ts'
import { NOTIFY } from './cluster/membership-statements.ts'
import { integer, octets, octetsOrNull, type Row, text } from './session/columns.ts'
import type { Result, Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import { messageOf } from './writer/claim.ts'

export interface ControlDeps {
  /** For changes, which must be durable. */
  readonly commits: Pool
  readonly reads: Pool
  readonly clock: Clock
  readonly vault: Vault
  /** Something may have become due. */
  readonly onDue: () => void
}

const PAGE_ROWS = 500
const STEP_ROWS = 1000

const STATUS = `CASE WHEN d.owner IS NOT NULL THEN 'active' WHEN d.held IS NOT NULL THEN 'held' ELSE 'waiting' END`
const STATUSES: Readonly<Record<QueueListing['status'], string>> = {
  active: 'd.owner IS NOT NULL',
  held: 'd.owner IS NULL AND d.held IS NOT NULL',
  waiting: 'd.owner IS NULL AND d.held IS NULL',
}
const LIST_COLUMNS = `d.position, d.domain, d.attempts, d.next_at, ${STATUS} AS status, d.recipient, d.state, m.id,
  m.master_key, m.wrapped_key, m.customer, m.size_bytes, m.accepted_at, m.expires_at, m.body_id, m.body_bytes,
  m.envelope`

const COUNTS: Statement = {
  name: 'counts',
  text: `SELECT (SELECT count(*) FROM delivery WHERE owner IS NULL AND held IS NULL) AS waiting,
    (SELECT count(*) FROM delivery WHERE owner IS NOT NULL) AS active,
    (SELECT count(*) FROM delivery WHERE held IS NOT NULL) AS held`,
}
const KEY_USAGE: Statement = {
  name: 'key-usage',
  text: 'SELECT master_key AS id, count(*) AS messages FROM message GROUP BY master_key ORDER BY master_key',
}

/** Per kind of change: the deliveries that it may touch, and what it does to one. `$1` is now. */
const CHANGES = {
  retry: { touches: 'd.held IS NULL AND d.next_at > $1::bigint', sets: 'next_at = $1::bigint' },
  // While it is held, `next_at` is the end of its lifetime.
  hold: {
    touches: 'd.held IS NULL',
    sets: `held = 'operator', next_at = coalesce((SELECT expires_at FROM message AS m WHERE m.id = d.message_id), $1::bigint)`,
  },
  unhold: { touches: 'd.held IS NOT NULL', sets: 'held = NULL, next_at = $1::bigint' },
  drop: { touches: 'true', sets: `held = NULL, next_at = $1::bigint, ordered = 'drop'` },
  'drop-silently': { touches: 'true', sets: `held = NULL, next_at = $1::bigint, ordered = 'drop-silently'` },
  move: {
    touches: 'true',
    sets: 'route = $4::text, next_at = CASE WHEN d.held IS NULL THEN $1::bigint ELSE d.next_at END',
  },
} as const

type Change = keyof typeof CHANGES

/** Conditions on `delivery AS d`; their values are numbered from `first`. */
function conditionsOf(filter: DeliveryFilter, first: number): { sql: string; values: unknown[] } {
  const values: unknown[] = []
  const parameter = (value: unknown, type: string): string => {
    values.push(value)
    return `$${first + values.length - 1}::${type}`
  }
  const ofMessage = (condition: string): string =>
    `EXISTS (SELECT FROM message AS m WHERE m.id = d.message_id AND ${condition})`
  const { messageId, index, domain, customer, acceptedBefore, cause, status } = filter
  const conditions: string[] = []
  if (messageId !== undefined) conditions.push(`d.message_id = ${parameter(messageId, 'text')}`)
  if (index !== undefined) conditions.push(`d.position = ${parameter(index, 'integer')}`)
  if (domain !== undefined) conditions.push(`d.domain = ${parameter(domain, 'text')}`)
  if (cause !== undefined) conditions.push(`d.cause = ${parameter(cause, 'text')}`)
  if (status !== undefined) conditions.push(STATUSES[status])
  if (customer !== undefined) conditions.push(ofMessage(`m.customer = ${parameter(customer, 'text')}`))
  if (acceptedBefore !== undefined) {
    conditions.push(ofMessage(`m.accepted_at <= ${parameter(acceptedBefore, 'bigint')}`))
  }
  return { sql: ['true', ...conditions].join(' AND '), values }
}

export function createQueueControl(deps: ControlDeps): QueueControl & MasterKeyControl {
  const { commits, reads, clock, vault, onDue } = deps
  const ask = async (pool: Pool, statement: Statement, values: readonly unknown[]): Promise<Result> => {
    try {
      return await pool.run((connection) => connection.query(statement, values))
    } catch (error) {
      throw faultOf(error)
    }
  }
  const change = async (
    filter: DeliveryFilter,
    kind: Change,
    route: string | null = null,
  ): Promise<number> => {
    const { touches, sets } = CHANGES[kind]
    const given = kind === 'move' ? [route] : []
    const { sql, values } = conditionsOf(filter, 4 + given.length)
    const statement = {
      name: '',
      text: `WITH part AS (
          SELECT d.message_id, d.position FROM delivery AS d
           WHERE (d.message_id, d.position) > ($2::text, $3::integer) AND d.owner IS NULL AND ${touches} AND ${sql}
           ORDER BY d.message_id, d.position LIMIT ${STEP_ROWS} FOR UPDATE OF d SKIP LOCKED)
        UPDATE delivery AS d SET ${sets} FROM part AS s
         WHERE d.message_id = s.message_id AND d.position = s.position AND $1::bigint IS NOT NULL
        RETURNING d.message_id, d.position`,
    }
    const now = clock.now()
    let after: readonly [string, number] = ['', -1]
    let total = 0
    for (let count = STEP_ROWS; count === STEP_ROWS; total += count) {
      const { rows } = await ask(commits, statement, [now, ...after, ...given, ...values])
      count = rows.length
      after = rows.map(placeOf).reduce(laterOf, after)
    }
    if (total > 0 && kind !== 'hold') {
      await ask(commits, NOTIFY, [])
      onDue()
    }
    return total
  }

  return {
    async list({ limit, after, ...filter }) {
      const { sql, values } = conditionsOf(filter, 4)
      const statement = {
        name: '',
        text: `SELECT ${LIST_COLUMNS} FROM delivery AS d JOIN message AS m ON m.id = d.message_id
          WHERE (d.message_id, d.position) > ($1::text, $2::integer) AND ${sql}
          ORDER BY d.message_id, d.position LIMIT $3::bigint`,
      }
      const listings: QueueListing[] = []
      let place = after === undefined ? (['', -1] as const) : parsePlace(after)
      while (listings.length < limit) {
        const page = Math.min(PAGE_ROWS, limit - listings.length)
        const { rows } = await ask(reads, statement, [...place, page, ...values])
        const found = rows.map((row) => listingOf(row, vault))
        listings.push(...found)
        const last = found.at(-1)
        if (last === undefined || found.length < page) break
        place = [last.messageId, last.index]
      }
      return listings
    },
    async counts() {
      const [row = {}] = (await ask(reads, COUNTS, [])).rows
      return { waiting: integer(row, 'waiting'), active: integer(row, 'active'), held: integer(row, 'held') }
    },
    retryNow: (filter) => change(filter, 'retry'),
    hold: (filter) => change(filter, 'hold'),
    unhold: (filter) => change(filter, 'unhold'),
    drop: (filter, tellSender) => change(filter, tellSender ? 'drop' : 'drop-silently'),
    move: (filter, route) => change(filter, 'move', route),
    async masterKeyUsage() {
      const { rows } = await ask(reads, KEY_USAGE, [])
      return rows.map((row) => ({ id: text(row, 'id'), messages: integer(row, 'messages') }))
    },
  }
}

const placeOf = (row: Row): readonly [string, number] => [text(row, 'message_id'), integer(row, 'position')]

/** Of two places in the order of the walk. */
function laterOf(
  one: readonly [string, number],
  other: readonly [string, number],
): readonly [string, number] {
  if (one[0] !== other[0]) return one[0] > other[0] ? one : other
  return one[1] > other[1] ? one : other
}

function parsePlace(after: string): readonly [string, number] {
  const colon = after.lastIndexOf(':')
  return [after.slice(0, colon), Number.parseInt(after.slice(colon + 1), 10) || 0]
}

/** What cannot be read stays empty: a list shows damaged deliveries too. */
function listingOf(row: Row, vault: Vault): QueueListing {
  const stored = messageOf(row)
  const message = openMessage(vault, stored)
  const key = message.kind === 'opened' ? message.key : null
  const index = integer(row, 'position')
  const recipient = key === null ? null : decodeRecipient(key, index, octets(row, 'recipient'))
  const state = key === null ? null : decodeState(key, index, octetsOrNull(row, 'state'))
  const failure = state?.lastFailure ?? null
  const words = failure === null ? '' : failure.reply === null ? failure.detail : formatReply(failure.reply)
  const found = text(row, 'status')
  const status = found === 'active' || found === 'held' ? found : 'waiting'
  return {
    messageId: stored.id,
    index,
    customer: stored.customer,
    reversePath: message.kind === 'opened' ? (message.meta.envelope.reversePath?.text ?? '') : '',
    forwardPath: recipient?.forwardPath.text ?? '',
    domain: text(row, 'domain'),
    sizeBytes: stored.sizeBytes,
    acceptedAt: stored.acceptedAt,
    expiresAt: stored.expiresAt,
    attempts: integer(row, 'attempts'),
    nextAttemptAt: status === 'waiting' ? integer(row, 'next_at') : null,
    status,
    lastFailure: failure === null ? null : { status: failure.status, cause: failure.cause, text: words },
  }
}
