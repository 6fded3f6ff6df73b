// Reads that must not disturb: bounded, in steps, outside of the transaction that mail waits for.
import type { DatabaseSync } from 'node:sqlite'
import { integer, octets, type Row, text, textOrNull } from './columns.ts'
import type { Handlers } from './handlers.ts'
import type { ListedRow } from './protocol.ts'

type ListingHandlers = Pick<
  Handlers,
  'body' | 'known' | 'nextDue' | 'counts' | 'position' | 'list' | 'compact' | 'makeRoom'
>

const listedOf = (row: Row): ListedRow => ({
  seq: integer(row, 'message'),
  messageId: text(row, 'id'),
  position: integer(row, 'position'),
  customer: textOrNull(row, 'customer'),
  reversePath: text(row, 'reverse_path'),
  forwardPath: text(row, 'forward_path'),
  domain: text(row, 'domain'),
  sizeBytes: integer(row, 'size_bytes'),
  acceptedAt: integer(row, 'accepted_at'),
  expiresAt: integer(row, 'expires_at'),
  attempts: integer(row, 'attempts'),
  nextAt: integer(row, 'next_at'),
  status: row['held'] !== null ? 'held' : row['owner'] !== null ? 'active' : 'waiting',
  state: textOrNull(row, 'state'),
})

export function listingHandlers(queue: DatabaseSync): ListingHandlers {
  const body = queue.prepare('SELECT octets FROM body WHERE message = (SELECT seq FROM message WHERE id = ?)')
  const isKnown = queue.prepare('SELECT 1 FROM message WHERE id = ?')
  const nextDue = queue.prepare(
    'SELECT min(next_at) AS at FROM delivery INDEXED BY delivery_due WHERE owner IS NULL AND held IS NULL',
  )
  const counts = queue.prepare(
    `SELECT (SELECT count(*) FROM delivery INDEXED BY delivery_due WHERE owner IS NULL AND held IS NULL) AS waiting,
            (SELECT count(*) FROM delivery INDEXED BY delivery_owned WHERE owner IS NOT NULL) AS active,
            (SELECT count(*) FROM delivery INDEXED BY delivery_held WHERE held IS NOT NULL) AS held`,
  )
  const position = queue.prepare('SELECT max(seq) AS seq FROM message WHERE id <= ?')
  const stepEnd = queue.prepare(
    `SELECT message, position FROM delivery WHERE (message, position) > (?, ?)
      ORDER BY message, position LIMIT 1 OFFSET ?`,
  )
  const list = queue.prepare(
    `SELECT d.*, m.id, m.customer, m.reverse_path, m.size_bytes, m.accepted_at, m.expires_at
       FROM (SELECT * FROM delivery WHERE (message, position) > (?1, ?2) ORDER BY message, position LIMIT ?3) AS d
       JOIN message AS m ON m.seq = d.message
      WHERE (?4 IS NULL OR d.domain = ?4) AND (?5 IS NULL OR m.customer = ?5)
      ORDER BY d.message, d.position LIMIT ?6`,
  )
  const freePages = queue.prepare('PRAGMA freelist_count')
  return {
    body: ({ messageId }) => {
      const row = body.get(messageId)
      return row === undefined ? null : octets(row, 'octets')
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
    position: ({ messageId }) => {
      const row = position.get(messageId) ?? {}
      return row['seq'] === null ? 0 : integer(row, 'seq')
    },
    list: ({ after, step, limit, domain, customer }) => {
      const rows = list.all(after.seq, after.position, step, domain, customer, limit).map(listedOf)
      const last = rows.at(-1)
      if (rows.length >= limit && last !== undefined)
        return { rows, next: { seq: last.seq, position: last.position } }
      const end = stepEnd.get(after.seq, after.position, step - 1)
      const next =
        end === undefined ? null : { seq: integer(end, 'message'), position: integer(end, 'position') }
      return { rows, next }
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
