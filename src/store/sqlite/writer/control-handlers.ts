// What operators see and do, in steps: each looks at a bounded number of rows, so that mail waits for none of
// them. Where a step ended is the caller's to remember.
import type { DatabaseSync } from 'node:sqlite'
import { integer, octets, octetsOrNull, type Row, text } from './columns.ts'
import type { Handlers } from './handlers.ts'
import type { Change, Cursor, DeliveryStatus, ListedRow, Walk } from './protocol.ts'
import { MESSAGE_COLUMNS, messageOf, SEALED_COLUMNS } from './stored-message.ts'

type ControlHandlers = Pick<Handlers, 'position' | 'list' | 'change' | 'expireHeld'>

const STATUS = `CASE WHEN d.owner IS NOT NULL THEN 'active' WHEN d.held IS NOT NULL THEN 'held' ELSE 'waiting' END`
/** Schema 1 kept the cause in its clear state only. */
const CAUSE = `coalesce(d.cause, CASE WHEN json_valid(d.state) THEN json_extract(d.state, '$.lastFailure.cause') END)`

/** The deliveries of one step of a walk that fit its filter. */
const FOUND = `
  FROM (SELECT message, position FROM delivery
         WHERE (message, position) > ($seq, $after) AND message <= $until
         ORDER BY message, position LIMIT $step) AS s
  JOIN delivery AS d ON d.message = s.message AND d.position = s.position
  LEFT JOIN message AS m ON m.seq = d.message
 WHERE ($position IS NULL OR d.position = $position)
   AND ($domain IS NULL OR d.domain = $domain)
   AND ($customer IS NULL OR m.customer = $customer)
   AND ($acceptedBefore IS NULL OR m.accepted_at <= $acceptedBefore)
   AND ($cause IS NULL OR ${CAUSE} = $cause)
   AND ($status IS NULL OR ${STATUS} = $status)`

const parametersOf = ({ after, until, step, limit, filter }: Walk) => ({
  seq: after.seq,
  after: after.position,
  until,
  step,
  limit,
  ...filter,
})

const statusOf = (row: Row): DeliveryStatus => {
  const found = text(row, 'status')
  return found === 'active' || found === 'held' ? found : 'waiting'
}

const listedOf = (row: Row, messageId: string): ListedRow => ({
  messageId,
  position: integer(row, 'position'),
  domain: text(row, 'domain'),
  recipient: octets(row, 'recipient'),
  state: octetsOrNull(row, 'state'),
  attempts: integer(row, 'attempts'),
  nextAt: integer(row, 'next_at'),
  status: statusOf(row),
})

const cursorOf = (row: Row): Cursor => ({ seq: integer(row, 'message'), position: integer(row, 'position') })

/** Per kind of change: the deliveries that it may touch, and what it does to one. */
const CHANGES: Readonly<Record<Change['kind'], { readonly touches: string; readonly sets: string }>> = {
  retry: { touches: 'd.held IS NULL AND d.next_at > $now', sets: 'next_at = $now' },
  // While it is held, `next_at` is the end of its lifetime.
  hold: {
    touches: 'd.held IS NULL',
    sets: `held = 'operator', next_at = (SELECT expires_at FROM message WHERE seq = $message)`,
  },
  unhold: { touches: 'd.held IS NOT NULL', sets: 'held = NULL, next_at = $now' },
  drop: { touches: 'true', sets: 'held = NULL, next_at = $now, ordered = $order' },
  move: { touches: 'true', sets: 'route = $route, next_at = iif(held IS NULL, $now, next_at)' },
}

function changer(queue: DatabaseSync, kind: Change['kind']) {
  const { touches, sets } = CHANGES[kind]
  const find = queue.prepare(
    `SELECT d.message, d.position ${FOUND} AND d.owner IS NULL AND ${touches} ORDER BY d.message, d.position LIMIT $limit`,
  )
  const apply = queue.prepare(`UPDATE delivery SET ${sets} WHERE message = $message AND position = $position`)
  const withNow = touches.includes('$now')
  return (now: number, walk: Walk, change: Change): Cursor[] => {
    const found = find.all({ ...parametersOf(walk), ...(withNow ? { now } : {}) }).map(cursorOf)
    const given = {
      ...(sets.includes('$now') ? { now } : {}),
      ...(change.kind === 'drop' ? { order: change.order } : {}),
      ...(change.kind === 'move' ? { route: change.route } : {}),
    }
    for (const { seq, position } of found) apply.run({ ...given, message: seq, position })
    return found
  }
}

export function controlHandlers(queue: DatabaseSync): ControlHandlers {
  const position = queue.prepare('SELECT seq FROM message WHERE id <= ? ORDER BY id DESC LIMIT 1')
  const stepEnd = queue.prepare(
    `SELECT message, position FROM delivery WHERE (message, position) > ($seq, $after)
        AND message <= $until ORDER BY message, position LIMIT 1 OFFSET $skipped`,
  )
  const list = queue.prepare(
    `SELECT d.message, d.position, d.domain, d.attempts, d.next_at, ${STATUS} AS status, ${SEALED_COLUMNS}
       ${FOUND} AND m.seq IS NOT NULL ORDER BY d.message, d.position LIMIT $limit`,
  )
  const findMessage = queue.prepare(`SELECT ${MESSAGE_COLUMNS} FROM message WHERE seq = ?`)
  const changers = {
    retry: changer(queue, 'retry'),
    hold: changer(queue, 'hold'),
    unhold: changer(queue, 'unhold'),
    drop: changer(queue, 'drop'),
    move: changer(queue, 'move'),
  }
  const expireHeld = queue.prepare(
    `UPDATE delivery SET held = NULL, next_at = ?1, ordered = iif(ordered = 'deliver', 'drop', ordered)
      WHERE (message, position) IN (SELECT message, position FROM delivery INDEXED BY delivery_held
        WHERE held IS NOT NULL AND next_at <= ?1 ORDER BY next_at LIMIT ?2)`,
  )

  /** Where a walk goes on: behind the last one found when there may be more in this step, else behind the step. */
  const nextOf = (walk: Walk, found: readonly Cursor[]): Cursor | null => {
    const last = found.at(-1)
    if (found.length >= walk.limit && last !== undefined) return last
    const { seq, after, until } = parametersOf(walk)
    const end = stepEnd.get({ seq, after, until, skipped: walk.step - 1 })
    return end === undefined ? null : cursorOf(end)
  }

  return {
    position: ({ messageId }) => {
      const row = position.get(messageId)
      return row === undefined ? 0 : integer(row, 'seq')
    },
    list: (walk) => {
      const found = list.all(parametersOf(walk))
      const seqs = [...new Set(found.map((row) => integer(row, 'message')))]
      const bySeq = new Map(seqs.map((seq) => [seq, messageOf(findMessage.get(seq) ?? {})]))
      const rows = found.map((row) => listedOf(row, bySeq.get(integer(row, 'message'))?.id ?? ''))
      return { messages: [...bySeq.values()], rows, next: nextOf(walk, found.map(cursorOf)) }
    },
    change: ({ now, walk, change }) => {
      const found = changers[change.kind](now, walk, change)
      return { changed: found.length, next: nextOf(walk, found) }
    },
    expireHeld: ({ now, limit }) => Number(expireHeld.run(now, limit).changes),
  }
}
