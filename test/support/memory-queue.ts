// A queue store in memory, for tests of rooms that use the port. Durable for as long as the test runs; keeps
// the promises of `queue/store.ts` about claims, fencing and settlements, and shows what it was told.
import type { JournalEntry } from '../../src/journal/entry.ts'
import type { Claim, DeliveryState, NewMessage } from '../../src/queue/message.ts'
import type { DeliveryFilter, QueueListing, QueueStore, Settlement } from '../../src/queue/store.ts'
import type { Clock } from '../../src/runtime/clock.ts'

export interface MemoryQueue extends QueueStore {
  /** Everything that was settled, in order. */
  readonly settled: readonly Settlement[]
  /** Journal entries, in order. */
  readonly entries: readonly JournalEntry[]
  /** Messages that were enqueued, notices included. */
  readonly messages: readonly NewMessage[]
  readonly releases: readonly Claim[]
  /** Resolves when at least `count` settlements were recorded. */
  whenSettled(count: number): Promise<readonly Settlement[]>
  /** What `mayStillSend` answers: false for a node that was paused beyond its lease. */
  fenced: boolean
  /** While set, `settle` rejects with it. */
  settleFault: Error | null
  /** What `readBody` yields instead of the body in memory, per message id. */
  readonly bodies: Map<string, readonly Uint8Array[]>
}

interface Row {
  readonly message: NewMessage
  readonly index: number
  state: DeliveryState
  dueAt: number
  owner: number | null
  token: number
  held: boolean
  route: string | null
  order: Claim['order']
}

const FRESH: DeliveryState = { attempts: 0, lastFailure: null, noTlsSince: null, delayNotified: false }

export function createMemoryQueue(clock: Pick<Clock, 'now'>): MemoryQueue {
  let rows: Row[] = []
  const settled: Settlement[] = []
  const entries: JournalEntry[] = []
  const messages: NewMessage[] = []
  const releases: Claim[] = []
  let waiting: (() => void)[] = []

  const claimOf = (row: Row): Claim => {
    const recipient = row.message.recipients[row.index]
    if (recipient === undefined) throw new Error('no such recipient')
    const { meta, body } = row.message
    const { index, state, token, route, order } = row
    return { message: meta, body, index, recipient, state, token, route, order }
  }
  const lease = (row: Row): Claim => {
    row.owner = 1
    row.token++
    return claimOf(row)
  }
  const rowOf = (claim: Claim): Row | undefined =>
    rows.find(
      (row) =>
        row.message.meta.id === claim.message.id &&
        row.index === claim.index &&
        row.owner !== null &&
        row.token === claim.token,
    )
  const domainOf = (row: Row): string => row.message.recipients[row.index]?.forwardPath.domain ?? ''
  const add = (message: NewMessage): Row[] => {
    messages.push(message)
    const fresh = { state: FRESH, dueAt: clock.now(), owner: null, token: 0 }
    const added = message.recipients.map(
      (_, index): Row => ({ message, index, ...fresh, held: false, route: null, order: 'deliver' }),
    )
    rows.push(...added)
    return added
  }

  const isWaiting = (row: Row): boolean => row.owner === null && !row.held
  const isSkipped = (row: Row, skip: ReadonlySet<string>): boolean =>
    row.order === 'deliver' && skip.has(row.route ?? domainOf(row))
  /** Changes those that no attempt holds; the wake-up is what an operator's change causes in every node. */
  const change = async (
    filter: DeliveryFilter,
    passes: (row: Row) => boolean,
    apply: (row: Row) => void,
  ): Promise<number> => {
    const found = rows.filter((row) => row.owner === null && passes(row) && matches(row, filter))
    for (const row of found) apply(row)
    if (found.length > 0) onDue?.()
    return found.length
  }
  let onDue: (() => void) | null = null

  const queue: MemoryQueue = {
    settled,
    entries,
    messages,
    releases,
    bodies: new Map(),
    fenced: false,
    settleFault: null,
    async whenSettled(count) {
      while (settled.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
      return settled
    },
    start: () => Promise.resolve(),
    health: () => ({ accepting: true, reason: null }),
    beginBody() {
      const chunks: Uint8Array[] = []
      return {
        write: (chunk) => {
          chunks.push(chunk)
          return null
        },
        finish: () => {
          const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
          return Promise.resolve({ sizeBytes, inMemory: chunks, location: 'memory' })
        },
        abort: () => {},
      }
    },
    async enqueue(message, journal, options) {
      const added = add(message)
      entries.push(...journal)
      return options.lease ? added.map(lease) : []
    },
    async claim(limit, skipDomains) {
      const due = rows
        .filter((row) => isWaiting(row) && row.dueAt <= clock.now() && !isSkipped(row, skipDomains))
        .toSorted((a, b) => a.dueAt - b.dueAt)
      return due.slice(0, limit).map(lease)
    },
    async *readBody(message, body) {
      yield* queue.bodies.get(message.id) ?? body.inMemory ?? []
    },
    async settle(settlements) {
      if (queue.settleFault !== null) throw queue.settleFault
      const results = settlements.map((settlement) => {
        const row = rowOf(settlement.claim)
        if (row === undefined) return 'fenced'
        if (settlement.kind === 'done') rows = rows.filter((other) => other !== row)
        else {
          row.state = settlement.state
          row.dueAt = settlement.nextAttemptAt
          row.owner = null
        }
        for (const notice of settlement.notices) add(notice)
        entries.push(...settlement.entries)
        settled.push(settlement)
        return 'ok'
      })
      const wake = waiting
      waiting = []
      for (const resolve of wake) resolve()
      return results
    },
    async release(claims) {
      for (const claim of claims) {
        const row = rowOf(claim)
        if (row !== undefined) row.owner = null
        releases.push(claim)
      }
    },
    async nextDue() {
      const due = rows.filter(isWaiting).map((row) => row.dueAt)
      return due.length === 0 ? null : Math.min(...due)
    },
    async list({ limit, after, ...filter }) {
      const sorted = rows.toSorted((a, b) => a.message.meta.acceptedAt - b.message.meta.acceptedAt)
      const from = after === undefined ? 0 : sorted.findIndex((row) => nameOf(row) === after) + 1
      const found = sorted.slice(from).filter((row) => matches(row, filter))
      return found.slice(0, limit).map(listingOf)
    },
    retryNow: (filter) =>
      change(filter, isWaiting, (row) => {
        row.dueAt = clock.now()
      }),
    hold: (filter) =>
      change(filter, isWaiting, (row) => {
        row.held = true
      }),
    unhold: (filter) =>
      change(
        filter,
        (row) => row.held,
        (row) => {
          row.held = false
          row.dueAt = clock.now()
        },
      ),
    drop: (filter, tellSender) =>
      change(
        filter,
        () => true,
        (row) => {
          row.held = false
          row.order = tellSender ? 'drop' : 'drop-silently'
          row.dueAt = clock.now()
        },
      ),
    move: (filter, route) =>
      change(
        filter,
        () => true,
        (row) => {
          row.route = route
          row.dueAt = clock.now()
        },
      ),
    async counts() {
      const active = rows.filter((row) => row.owner !== null).length
      const held = rows.filter((row) => row.held).length
      return { waiting: rows.length - active - held, active, held }
    },
    mayStillSend: () => !queue.fenced,
    onDue(wake) {
      onDue = wake
    },
    sweep: () => Promise.resolve({ journalEntries: 0, orphans: 0 }),
    stop: () => Promise.resolve(),
  }
  return queue
}

const nameOf = (row: Row): string => `${row.message.meta.id}:${row.index}`

function matches(row: Row, filter: DeliveryFilter): boolean {
  const listing = listingOf(row)
  const is = <T>(wanted: T | undefined, value: T): boolean => wanted === undefined || wanted === value
  return (
    is(filter.messageId, listing.messageId) &&
    is(filter.index, listing.index) &&
    is(filter.domain, listing.domain) &&
    is(filter.customer, listing.customer ?? '') &&
    is(filter.cause, listing.lastFailure?.cause ?? '') &&
    is(filter.status, listing.status) &&
    listing.acceptedAt <= (filter.acceptedBefore ?? Number.POSITIVE_INFINITY)
  )
}

function listingOf(row: Row): QueueListing {
  const { meta, recipients } = row.message
  const forwardPath = recipients[row.index]?.forwardPath
  const last = row.state.lastFailure
  return {
    messageId: meta.id,
    index: row.index,
    customer: meta.customer,
    reversePath: meta.envelope.reversePath?.text ?? '',
    forwardPath: forwardPath?.text ?? '',
    domain: forwardPath?.domain ?? '',
    sizeBytes: meta.sizeBytes,
    acceptedAt: meta.acceptedAt,
    expiresAt: meta.expiresAt,
    attempts: row.state.attempts,
    nextAttemptAt: row.owner === null && !row.held ? row.dueAt : null,
    status: row.owner !== null ? 'active' : row.held ? 'held' : 'waiting',
    lastFailure: last === null ? null : { status: last.status, cause: last.cause, text: last.detail },
  }
}
