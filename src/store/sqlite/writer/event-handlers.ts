// The event log in queue.db: written together with what it tells about, read by message or by time.
import type { DatabaseSync } from 'node:sqlite'
import type { EventRow } from '../../record.ts'
import { integer, type Row, text, textOrNull } from './columns.ts'
import type { Handlers } from './handlers.ts'

const COLUMNS = 'at, kind, message_id, customer, reverse_path, forward_path, facts'

const eventOf = (row: Row): EventRow => ({
  at: integer(row, 'at'),
  kind: text(row, 'kind'),
  messageId: text(row, 'message_id'),
  customer: textOrNull(row, 'customer'),
  reversePath: text(row, 'reverse_path'),
  forwardPath: textOrNull(row, 'forward_path'),
  facts: text(row, 'facts'),
})

/** `insert` is for operations that write entries in their own transaction. */
export function eventHandlers(queue: DatabaseSync): {
  insert: (events: readonly EventRow[]) => void
  handlers: Pick<Handlers, 'append' | 'expire' | 'trace' | 'between'>
} {
  const insertOne = queue.prepare(`INSERT INTO event (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`)
  const expireSome = queue.prepare(
    'DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE at < ? ORDER BY at LIMIT ?)',
  )
  const traceOne = queue.prepare(`SELECT ${COLUMNS} FROM event WHERE message_id = ? ORDER BY at, seq LIMIT ?`)
  const inRange = queue.prepare(
    `SELECT ${COLUMNS} FROM event WHERE at >= ? AND at < ? ORDER BY at, seq LIMIT ?`,
  )
  const insert = (events: readonly EventRow[]): void => {
    for (const { at, kind, messageId, customer, reversePath, forwardPath, facts } of events) {
      insertOne.run(at, kind, messageId, customer, reversePath, forwardPath, facts)
    }
  }
  return {
    insert,
    handlers: {
      append: ({ events }) => {
        insert(events)
        return null
      },
      expire: ({ before, limit }) => Number(expireSome.run(before, limit).changes),
      trace: ({ messageId, limit }) => traceOne.all(messageId, limit).map(eventOf),
      between: ({ from, to, limit }) => inRange.all(from, to, limit).map(eventOf),
    },
  }
}
