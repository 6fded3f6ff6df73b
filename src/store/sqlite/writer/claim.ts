// Finds due deliveries, oldest first, without being slowed by a million that wait or by a dead site's many.
//
// First the index by time is walked, at most SCAN_ROWS entries. When the destinations to skip fill that walk,
// each other one is asked for its oldest instead, going round from call to call, so that a dead site with
// 100,000 due deliveries hides nobody behind it. The destination is the route that an operator chose, else the
// domain, and empty (never to be skipped) for what is ordered to be dropped: the first of each round.
import type { DatabaseSync } from 'node:sqlite'
import { integer, octets, octetsOrNull, type Row, text, textOrNull } from './columns.ts'
import type { Handler } from './handlers.ts'
import type { ClaimedDelivery, StoredMessage } from './protocol.ts'
import { MESSAGE_COLUMNS, messageOf } from './stored-message.ts'

const SCAN_ROWS = 4096
const DESTINATIONS_PER_CALL = 1024
const PER_DESTINATION = 20

/** How long a delivery without a message is kept for operators to see. */
const ORPHAN_KEPT_MS = 5 * 86_400_000

interface Place {
  readonly seq: number
  readonly position: number
}

const placeOf = (row: Row): Place => ({ seq: integer(row, 'message'), position: integer(row, 'position') })

const withoutRepeats = (places: readonly Place[], limit: number): Place[] =>
  [...new Map(places.map((place) => [`${place.seq}:${place.position}`, place])).values()].slice(0, limit)

/** The search for candidates alone. */
function createSearch(
  queue: DatabaseSync,
): (now: number, limit: number, skip: ReadonlySet<string>) => Place[] {
  const byTime = queue.prepare(
    `SELECT message, position, destination FROM delivery INDEXED BY delivery_due
      WHERE owner IS NULL AND held IS NULL AND next_at <= ? ORDER BY next_at`,
  )
  const destinationAfter = queue.prepare(
    `SELECT min(destination) AS destination FROM delivery INDEXED BY delivery_by_destination
      WHERE owner IS NULL AND held IS NULL AND destination > ?`,
  )
  const forDestination = queue.prepare(
    `SELECT message, position, next_at FROM delivery INDEXED BY delivery_by_destination
      WHERE owner IS NULL AND held IS NULL AND destination = ? AND next_at <= ? ORDER BY next_at LIMIT ?`,
  )
  /** The destination where the last round ended. */
  let reached = ''

  const searchByDestination = (now: number, limit: number, skip: ReadonlySet<string>): Place[] => {
    const found: { place: Place; nextAt: number }[] = []
    const add = (destination: string, share: number): void => {
      for (const row of forDestination.all(destination, now, share)) {
        found.push({ place: placeOf(row), nextAt: integer(row, 'next_at') })
      }
    }
    add('', limit)
    let turns = 0
    for (let seen = 0; seen < DESTINATIONS_PER_CALL && found.length < limit; seen++) {
      const next = textOrNull(destinationAfter.get(reached) ?? {}, 'destination')
      if (next === null) {
        if (++turns > 1) break
        reached = ''
        continue
      }
      reached = next
      if (!skip.has(next)) add(next, Math.min(PER_DESTINATION, limit - found.length))
    }
    return found.sort((a, b) => a.nextAt - b.nextAt).map(({ place }) => place)
  }

  return (now, limit, skip) => {
    const found: Place[] = []
    let scanned = 0
    for (const row of byTime.iterate(now)) {
      if (!skip.has(text(row, 'destination'))) found.push(placeOf(row))
      if (found.length >= limit) return found
      if (++scanned >= SCAN_ROWS)
        return withoutRepeats([...found, ...searchByDestination(now, limit, skip)], limit)
    }
    return found
  }
}

/** `owner` is asked at each call; without one nothing can be claimed. */
export function claimHandler(queue: DatabaseSync, owner: () => number | null): Handler<'claim'> {
  const search = createSearch(queue)
  const take = queue.prepare(
    `UPDATE delivery SET owner = ?, token = token + 1 WHERE message = ? AND position = ?
       RETURNING token, domain, route, ordered, coalesce(sealed_recipient, CAST(recipient AS BLOB)) AS recipient,
         coalesce(sealed_state, CAST(state AS BLOB)) AS state`,
  )
  const findMessage = queue.prepare(`SELECT ${MESSAGE_COLUMNS} FROM message WHERE seq = ?`)
  const putAside = queue.prepare(
    `UPDATE delivery SET held = 'damaged', next_at = ? WHERE message = ? AND position = ? AND ordered = 'deliver'`,
  )
  const remove = queue.prepare('DELETE FROM delivery WHERE message = ? AND position = ?')

  return ({ now, limit, skip }) => {
    const me = owner()
    if (me === null) throw new Error('the store was not started')
    const messages = new Map<number, StoredMessage | null>()
    const messageAt = (seq: number): StoredMessage | null => {
      const known = messages.get(seq)
      if (known !== undefined) return known
      const row = findMessage.get(seq)
      const message = row === undefined ? null : messageOf(row)
      messages.set(seq, message)
      return message
    }
    const deliveries: ClaimedDelivery[] = []
    let orphaned = 0
    for (const { seq, position } of search(now, limit, new Set(skip))) {
      const message = messageAt(seq)
      if (message === null) {
        // A delivery whose message is gone: damage. Out of the way, so that it is not found again.
        if (putAside.run(now + ORPHAN_KEPT_MS, seq, position).changes === 0) remove.run(seq, position)
        orphaned++
        continue
      }
      const row = take.get(me, seq, position) ?? {}
      deliveries.push({
        messageId: message.id,
        position,
        token: integer(row, 'token'),
        domain: text(row, 'domain'),
        recipient: octets(row, 'recipient'),
        state: octetsOrNull(row, 'state'),
        route: textOrNull(row, 'route'),
        order: orderOf(row),
      })
    }
    return { messages: [...messages.values()].filter((message) => message !== null), deliveries, orphaned }
  }
}

function orderOf(row: Row): ClaimedDelivery['order'] {
  const ordered = text(row, 'ordered')
  return ordered === 'drop' || ordered === 'drop-silently' ? ordered : 'deliver'
}
