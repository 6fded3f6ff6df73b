// Finds due deliveries, oldest first, without being slowed by a million that wait or by a dead site's many.
//
// First the index by time is walked, at most SCAN_ROWS entries. When the domains to skip fill that walk, each
// other domain is asked for its oldest instead, going round from call to call, so that a dead site with
// 100,000 due deliveries hides nobody behind it.
import type { DatabaseSync } from 'node:sqlite'
import { integer, location, octets, type Row, text, textOrNull } from './columns.ts'
import type { Handler } from './handlers.ts'
import type { ClaimedDelivery, ClaimedMessage } from './protocol.ts'

const SCAN_ROWS = 4096
const DOMAINS_PER_CALL = 1024
const PER_DOMAIN = 20

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
    `SELECT message, position, domain FROM delivery INDEXED BY delivery_due
      WHERE owner IS NULL AND held IS NULL AND next_at <= ? ORDER BY next_at`,
  )
  const domainAfter = queue.prepare(
    `SELECT min(domain) AS domain FROM delivery INDEXED BY delivery_by_domain
      WHERE owner IS NULL AND held IS NULL AND domain > ?`,
  )
  const ofDomain = queue.prepare(
    `SELECT message, position, next_at FROM delivery INDEXED BY delivery_by_domain
      WHERE owner IS NULL AND held IS NULL AND domain = ? AND next_at <= ? ORDER BY next_at LIMIT ?`,
  )
  /** The domain where the last round by domain ended. */
  let reached = ''

  const searchByDomain = (now: number, limit: number, skip: ReadonlySet<string>): Place[] => {
    const found: { place: Place; nextAt: number }[] = []
    let turns = 0
    for (let seen = 0; seen < DOMAINS_PER_CALL && found.length < limit; seen++) {
      const next = textOrNull(domainAfter.get(reached) ?? {}, 'domain')
      if (next === null) {
        if (++turns > 1) break
        reached = ''
        continue
      }
      reached = next
      if (skip.has(next)) continue
      const share = Math.min(PER_DOMAIN, limit - found.length)
      for (const row of ofDomain.all(next, now, share)) {
        found.push({ place: placeOf(row), nextAt: integer(row, 'next_at') })
      }
    }
    return found.sort((a, b) => a.nextAt - b.nextAt).map(({ place }) => place)
  }

  return (now, limit, skip) => {
    const found: Place[] = []
    let scanned = 0
    for (const row of byTime.iterate(now)) {
      if (!skip.has(text(row, 'domain'))) found.push(placeOf(row))
      if (found.length >= limit) return found
      if (++scanned >= SCAN_ROWS)
        return withoutRepeats([...found, ...searchByDomain(now, limit, skip)], limit)
    }
    return found
  }
}

/** `owner` is asked at each call; without one nothing can be claimed. */
export function claimHandler(queue: DatabaseSync, owner: () => number | null): Handler<'claim'> {
  const search = createSearch(queue)
  const take = queue.prepare(
    `UPDATE delivery SET owner = ?, token = token + 1 WHERE message = ? AND position = ?
       RETURNING token, recipient, state`,
  )
  const putAside = queue.prepare('UPDATE delivery SET held = ? WHERE message = ? AND position = ?')
  const findMessage = queue.prepare(
    'SELECT id, location, body_bytes, meta, header FROM message WHERE seq = ?',
  )

  return ({ now, limit, skipDomains }) => {
    const me = owner()
    if (me === null) throw new Error('the store was not started')
    const messages = new Map<number, ClaimedMessage | null>()
    const messageOf = (seq: number): ClaimedMessage | null => {
      const known = messages.get(seq)
      if (known !== undefined) return known
      const row = findMessage.get(seq)
      const message =
        row === undefined
          ? null
          : {
              id: text(row, 'id'),
              location: location(row),
              bodyBytes: integer(row, 'body_bytes'),
              meta: text(row, 'meta'),
              header: octets(row, 'header'),
            }
      messages.set(seq, message)
      return message
    }
    const deliveries: ClaimedDelivery[] = []
    let orphaned = 0
    for (const { seq, position } of search(now, limit, new Set(skipDomains))) {
      const message = messageOf(seq)
      if (message === null) {
        // A delivery whose message is gone: damage. Out of the way, so that it is not found again.
        putAside.run('message missing', seq, position)
        orphaned++
        continue
      }
      const row = take.get(me, seq, position) ?? {}
      deliveries.push({
        messageId: message.id,
        position,
        token: integer(row, 'token'),
        recipient: text(row, 'recipient'),
        state: textOrNull(row, 'state'),
      })
    }
    return { messages: [...messages.values()].filter((message) => message !== null), deliveries, orphaned }
  }
}
