// The port of the event log.
import type { JournalEntry } from './entry.ts'

export interface JournalStore {
  /** Entries that belong to no queue transaction. Durable when it resolves. */
  append(entries: readonly JournalEntry[]): Promise<void>
  /** The story of one message, oldest first. */
  trace(messageId: string): Promise<JournalEntry[]>
  /** Entries between two moments (epoch ms, `from` inclusive), oldest first, at most `limit`. */
  between(from: number, to: number, limit: number): Promise<JournalEntry[]>
}
