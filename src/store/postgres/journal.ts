// The event log as a port: written together with what it tells about, read by message or by time.
import type { JournalStore } from '../../journal/store.ts'
import { decodeEntry, type EventRow, encodeEntry } from '../record.ts'
import { integer, type Row, text, textOrNull } from './session/columns.ts'
import type { Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import type { GroupCommit } from './writer/group-commit.ts'

/** Entries of one message that are read at most: far more than 120 h of attempts make. */
const TRACE_MAX = 10_000

const COLUMNS = 'at, kind, message_id, customer, reverse_path, forward_path, facts'
const TRACE: Statement = {
  name: 'trace',
  text: `SELECT ${COLUMNS} FROM event WHERE message_id = $1::text ORDER BY at, seq LIMIT ${TRACE_MAX}`,
}
const BETWEEN: Statement = {
  name: 'between',
  text: `SELECT ${COLUMNS} FROM event WHERE at >= $1::bigint AND at < $2::bigint ORDER BY at, seq LIMIT $3::bigint`,
}

const eventOf = (row: Row): EventRow => ({
  at: integer(row, 'at'),
  kind: text(row, 'kind'),
  messageId: text(row, 'message_id'),
  customer: textOrNull(row, 'customer'),
  reversePath: text(row, 'reverse_path'),
  forwardPath: textOrNull(row, 'forward_path'),
  facts: text(row, 'facts'),
})

export function createJournal(pool: Pool, commits: GroupCommit): JournalStore {
  const read = async (statement: Statement, values: readonly unknown[]) => {
    try {
      const { rows } = await pool.run((connection) => connection.query(statement, values))
      return rows.map(eventOf).map(decodeEntry)
    } catch (error) {
      throw faultOf(error)
    }
  }
  return {
    async append(entries) {
      await commits.run({ kind: 'append', events: entries.map(encodeEntry) })
    },
    trace: (messageId) => read(TRACE, [messageId]),
    between: (from, to, limit) => read(BETWEEN, [from, to, limit]),
  }
}
