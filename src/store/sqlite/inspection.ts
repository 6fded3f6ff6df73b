// What operators see of the queue and may do to it: the same in the gateway and in the command line. Long
// walks are cut into steps, so that mail never waits for a listing.
import type { QueueListing, QueueStore } from '../../queue/store.ts'
import type { Clock } from '../../runtime/clock.ts'
import { formatReply } from '../../smtp/reply.ts'
import { decodeState } from './record.ts'
import type { Executor, ListCursor, ListedRow } from './writer/protocol.ts'

export type QueueInspection = Pick<QueueStore, 'list' | 'retryNow' | 'counts'>

/** Rows looked at, and rows changed, between two chances for mail. */
const STEP_ROWS = 2000
const STEP_CHANGES = 200

function listingOf(row: ListedRow): QueueListing {
  const { seq: _, position, nextAt, state, ...rest } = row
  const failure = decodeState(state)?.lastFailure ?? null
  const text = failure === null ? '' : failure.reply === null ? failure.detail : formatReply(failure.reply)
  return {
    ...rest,
    index: position,
    nextAttemptAt: row.status === 'waiting' ? nextAt : null,
    lastFailure: failure === null ? null : { status: failure.status, cause: failure.cause, text },
  }
}

export function createQueueInspection(executor: Executor, clock: Clock): QueueInspection {
  const startOf = async (after: string | undefined): Promise<ListCursor> => {
    if (after === undefined) return { seq: 0, position: -1 }
    const colon = after.lastIndexOf(':')
    const seq = await executor.request('position', { messageId: after.slice(0, colon) })
    return { seq, position: Number.parseInt(after.slice(colon + 1), 10) || 0 }
  }
  return {
    async list({ limit, after, domain = null, customer = null }) {
      const rows: ListedRow[] = []
      const filtered = domain !== null || customer !== null
      let cursor: ListCursor | null = await startOf(after)
      while (cursor !== null && rows.length < limit) {
        const left = limit - rows.length
        const step: number = filtered ? STEP_ROWS : Math.min(STEP_ROWS, left)
        const takes = { after: cursor, step, limit: left, domain, customer }
        const found: { rows: ListedRow[]; next: ListCursor | null } = await executor.request('list', takes)
        rows.push(...found.rows)
        cursor = found.next
      }
      return rows.map(listingOf)
    },
    async retryNow({ messageId = null, domain = null }) {
      const now = clock.now()
      let total = 0
      for (;;) {
        const changed = await executor.request('retry', { now, limit: STEP_CHANGES, messageId, domain })
        total += changed
        if (messageId !== null || changed < STEP_CHANGES) return total
      }
    },
    counts: () => executor.request('counts', null),
  }
}
