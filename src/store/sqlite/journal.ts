// The event log as a port over the executor.
import type { JournalStore } from '../../journal/store.ts'
import { decodeEntry, encodeEntry } from '../record.ts'
import type { Executor } from './writer/protocol.ts'

/** Entries of one message that are read at most: far more than 120 h of attempts make. */
const TRACE_MAX = 10_000

export const createJournal = (executor: Executor): JournalStore => ({
  async append(entries) {
    await executor.request('append', { events: entries.map(encodeEntry) })
  },
  async trace(messageId) {
    return (await executor.request('trace', { messageId, limit: TRACE_MAX })).map(decodeEntry)
  },
  async between(from, to, limit) {
    return (await executor.request('between', { from, to, limit })).map(decodeEntry)
  },
})
