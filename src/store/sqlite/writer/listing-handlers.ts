// Reads that must not disturb: bounded, in steps, outside of the transaction that mail waits for.
import type { DatabaseSync } from 'node:sqlite'
import { integer, octetsOrNull } from './columns.ts'
import type { Handlers } from './handlers.ts'
import { KEY_COLUMNS, keyOf } from './stored-message.ts'

type ListingHandlers = Pick<Handlers, 'body' | 'known' | 'nextDue' | 'counts' | 'compact' | 'makeRoom'>

export function listingHandlers(queue: DatabaseSync): ListingHandlers {
  const body = queue.prepare(
    `SELECT ${KEY_COLUMNS}, octets FROM message LEFT JOIN body ON body.message = seq WHERE id = ?`,
  )
  const isKnown = queue.prepare('SELECT 1 FROM message WHERE id = ?')
  const nextDue = queue.prepare(
    'SELECT min(next_at) AS at FROM delivery INDEXED BY delivery_due WHERE owner IS NULL AND held IS NULL',
  )
  const counts = queue.prepare(
    `SELECT (SELECT count(*) FROM delivery INDEXED BY delivery_due WHERE owner IS NULL AND held IS NULL) AS waiting,
            (SELECT count(*) FROM delivery INDEXED BY delivery_owned WHERE owner IS NOT NULL) AS active,
            (SELECT count(*) FROM delivery INDEXED BY delivery_held WHERE held IS NOT NULL) AS held`,
  )
  const freePages = queue.prepare('PRAGMA freelist_count')
  return {
    body: ({ messageId }) => {
      const row = body.get(messageId)
      return row === undefined ? null : { key: keyOf(row), octets: octetsOrNull(row, 'octets') }
    },
    known: ({ ids }) => ids.filter((id) => isKnown.get(id) !== undefined),
    nextDue: () => {
      const row = nextDue.get() ?? {}
      return row['at'] === null ? null : integer(row, 'at')
    },
    counts: () => {
      const row = counts.get() ?? {}
      return { waiting: integer(row, 'waiting'), active: integer(row, 'active'), held: integer(row, 'held') }
    },
    compact: ({ pages, keep }) => {
      const free = integer(freePages.get() ?? {}, 'freelist_count')
      if (free > keep) queue.exec(`PRAGMA incremental_vacuum(${Math.trunc(pages)})`)
      return null
    },
    makeRoom: ({ pages }) => {
      // The WAL first: giving pages back needs some of it.
      queue.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      queue.exec(`PRAGMA incremental_vacuum(${Math.trunc(pages)})`)
      queue.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      return null
    },
  }
}
