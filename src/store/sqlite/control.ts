// What operators see of the queue and may do to it: the same in the gateway and in the command line. Long walks
// are cut into steps, so that mail never waits for a listing or a change of a million deliveries.
import type { DeliveryFilter, MasterKeyControl, QueueControl, QueueListing } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { formatReply } from '../../smtp/reply.ts'
import { decodeRecipient, decodeState, type OpenedMessage, openMessage } from '../record.ts'
import type {
  Change,
  Cursor,
  Executor,
  ListedRow,
  RowFilter,
  StoredMessage,
  Walk,
} from './writer/protocol.ts'

export interface ControlDeps {
  readonly executor: Executor
  readonly clock: Clock
  readonly vault: Vault
  /** Something may have become due. */
  readonly onDue: () => void
}

/** Rows looked at, found and unsealed, or changed, between two chances for mail. */
const STEP_ROWS = 2000
const STEP_LISTED = 200
const STEP_CHANGES = 200
const BEGINNING: Cursor = { seq: 0, position: -1 }

const rowFilterOf = (filter: DeliveryFilter): RowFilter => ({
  position: filter.index ?? null,
  domain: filter.domain ?? null,
  customer: filter.customer ?? null,
  acceptedBefore: filter.acceptedBefore ?? null,
  cause: filter.cause ?? null,
  status: filter.status ?? null,
})

export function createQueueControl(deps: ControlDeps): QueueControl & MasterKeyControl {
  const { executor, clock, vault, onDue } = deps

  /** The walk over everything that the filter means, or `null` when its message is gone. */
  const walkOf = async (filter: DeliveryFilter): Promise<Omit<Walk, 'limit'> | null> => {
    const all = {
      after: BEGINNING,
      until: Number.MAX_SAFE_INTEGER,
      step: STEP_ROWS,
      filter: rowFilterOf(filter),
    }
    if (filter.messageId === undefined) return all
    const [known] = await executor.request('known', { ids: [filter.messageId] })
    if (known === undefined) return null
    const seq = await executor.request('position', { messageId: filter.messageId })
    return { ...all, after: { seq, position: -1 }, until: seq }
  }
  const cursorAfter = async (after: string): Promise<Cursor> => {
    const colon = after.lastIndexOf(':')
    const seq = await executor.request('position', { messageId: after.slice(0, colon) })
    return { seq, position: Number.parseInt(after.slice(colon + 1), 10) || 0 }
  }
  const change = async (filter: DeliveryFilter, wanted: Change): Promise<number> => {
    const now = clock.now()
    const walk = await walkOf(filter)
    let total = 0
    for (let after = walk?.after ?? null; walk !== null && after !== null; ) {
      const takes = { now, walk: { ...walk, after, limit: STEP_CHANGES }, change: wanted }
      const { changed, next }: { changed: number; next: Cursor | null } = await executor.request(
        'change',
        takes,
      )
      total += changed
      after = next
    }
    if (total > 0 && wanted.kind !== 'hold') onDue()
    return total
  }

  return {
    async list({ limit, after, ...filter }) {
      const walk = await walkOf(filter)
      if (walk === null) return []
      const from = after === undefined ? walk.after : later(walk.after, await cursorAfter(after))
      const isFiltered = Object.values(walk.filter).some((condition) => condition !== null)
      const found: QueueListing[] = []
      for (let cursor: Cursor | null = from; cursor !== null && found.length < limit; ) {
        const most = Math.min(limit - found.length, STEP_LISTED)
        const takes: Walk = { ...walk, after: cursor, limit: most, step: isFiltered ? STEP_ROWS : most }
        const { messages, rows, next } = await executor.request('list', takes)
        found.push(...listingsOf(vault, messages, rows))
        cursor = next
      }
      return found
    },
    counts: () => executor.request('counts', null),
    retryNow: (filter) => change(filter, { kind: 'retry' }),
    hold: (filter) => change(filter, { kind: 'hold' }),
    unhold: (filter) => change(filter, { kind: 'unhold' }),
    drop: (filter, tellSender) =>
      change(filter, { kind: 'drop', order: tellSender ? 'drop' : 'drop-silently' }),
    move: (filter, route) => change(filter, { kind: 'move', route }),
    masterKeyUsage: () => executor.request('keyUsage', null),
  }
}

const later = (one: Cursor, other: Cursor): Cursor =>
  one.seq > other.seq || (one.seq === other.seq && one.position > other.position) ? one : other

function listingsOf(
  vault: Vault,
  messages: readonly StoredMessage[],
  rows: readonly ListedRow[],
): QueueListing[] {
  const opened = new Map(
    messages.map((stored) => [stored.id, { stored, message: openMessage(vault, stored) }]),
  )
  return rows.flatMap((row) => {
    const found = opened.get(row.messageId)
    return found === undefined ? [] : [listingOf(row, found.stored, found.message)]
  })
}

/** What cannot be read stays empty: a list shows damaged deliveries too. */
function listingOf(row: ListedRow, stored: StoredMessage, message: OpenedMessage): QueueListing {
  const key = message.kind === 'opened' ? message.key : null
  const recipient = key === null ? null : decodeRecipient(key, row.position, row.recipient)
  const failure = (key === null ? null : decodeState(key, row.position, row.state))?.lastFailure ?? null
  const text = failure === null ? '' : failure.reply === null ? failure.detail : formatReply(failure.reply)
  return {
    messageId: stored.id,
    index: row.position,
    customer: stored.customer,
    reversePath: message.kind === 'opened' ? (message.meta.envelope.reversePath?.text ?? '') : '',
    forwardPath: recipient?.forwardPath.text ?? '',
    domain: row.domain,
    sizeBytes: stored.sizeBytes,
    acceptedAt: stored.acceptedAt,
    expiresAt: stored.expiresAt,
    attempts: row.attempts,
    nextAttemptAt: row.status === 'waiting' ? row.nextAt : null,
    status: row.status,
    lastFailure: failure === null ? null : { status: failure.status, cause: failure.cause, text },
  }
}
