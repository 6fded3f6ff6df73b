// The queue of one machine: the port `QueueStore` over the writer thread and the spool folder. The order that
// keeps the promise: body on stable storage, then the row that names it; row removed, then the file.
import type { Log } from '../../observability/log.ts'
import type { Claim, NewMessage, StoredBody } from '../../queue/message.ts'
import type { QueueStore, Settlement } from '../../queue/store.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { BodyMemory } from './body-memory.ts'
import { createBodyWriter } from './body-writer.ts'
import type { DiskGuard } from './disk-guard.ts'
import { createQueueInspection } from './inspection.ts'
import {
  decodeMessage,
  decodeRecipient,
  decodeState,
  encodeEntry,
  encodeMessage,
  encodeState,
  FRESH_STATE,
} from './record.ts'
import type { Spool } from './spool.ts'
import type { ClaimedDelivery, ClaimedMessage, ClaimKey, Executor, SettleRow } from './writer/protocol.ts'

/** A body file that no message names is an orphan from this age on. */
const ORPHAN_AGE_MS = 3_600_000
const EXPIRE_ROWS = 1000
/** 8 MB at a time, in the writer thread. */
const COMPACT_PAGES = 500
/** Free pages that are left for the next burst (64 MB). */
const FREE_PAGES_KEPT = 4096

export interface QueueDeps {
  readonly dataDirectory: string
  readonly clock: Clock
  readonly log: Log
  readonly executor: Executor
  readonly spool: Spool
  readonly memory: BodyMemory
  readonly guard: DiskGuard
  /** Ids with a file that no row names yet; shared with the spool. */
  readonly open: Set<string>
  readonly fileFault: (error: unknown) => Fault
  readonly stop: () => Promise<void>
}

const keyOf = ({ message, index, token }: Claim): ClaimKey => ({
  messageId: message.id,
  position: index,
  token,
})

export function createQueue(deps: QueueDeps): QueueStore {
  const { clock, log, executor, spool, memory, guard, open } = deps

  /** After the row is written, or was refused: a file that surely has no row goes away. */
  const fileDone = (messages: readonly NewMessage[], remove: boolean): void => {
    const ids = messages.filter(({ body }) => body.location !== 'inline').map(({ meta }) => meta.id)
    for (const id of ids) open.delete(id)
    if (remove && ids.length > 0) void spool.remove(ids)
  }

  /** The body as claims on it carry it: with its octets while the budget lasts. */
  const lendBody = ({ meta, recipients, body }: NewMessage): StoredBody => {
    if (body.inMemory === null) return body
    if (body.location === 'inline' && !memory.grow(meta.id, body.sizeBytes))
      return { ...body, inMemory: null }
    memory.lend(meta.id, recipients.length)
    return body
  }

  const damaged = (message: string | null, reason: string): void =>
    log.event('queue.damaged', { message, reason })

  /** Claims of one message; what cannot be read is held, and everything else goes on. */
  const claimsOf = async (
    found: ClaimedMessage,
    deliveries: readonly ClaimedDelivery[],
  ): Promise<Claim[]> => {
    const message = decodeMessage(found.id, found.meta, found.header)
    const body: StoredBody = { sizeBytes: found.bodyBytes, inMemory: null, location: found.location }
    const claims: Claim[] = []
    for (const { messageId, position, token, ...stored } of deliveries) {
      const recipient = decodeRecipient(stored.recipient)
      const state = decodeState(stored.state)
      if (message !== null && recipient !== null && state !== null) {
        claims.push({ message, body, index: position, recipient, state, token })
        continue
      }
      const reason = message === null ? 'message unreadable' : 'delivery unreadable'
      await executor.request('hold', { claim: { messageId, position, token }, reason })
      damaged(messageId, reason)
    }
    return claims
  }

  const settleRow = (settlement: Settlement): { row: SettleRow; octets: Uint8Array[] } => {
    const notices = settlement.notices.map(encodeMessage)
    const row: SettleRow = {
      ...keyOf(settlement.claim),
      events: settlement.entries.map(encodeEntry),
      notices: notices.map(({ row: notice }) => notice),
      later:
        settlement.kind === 'done'
          ? null
          : {
              nextAt: settlement.nextAttemptAt,
              attempts: settlement.state.attempts,
              state: encodeState(settlement.state),
            },
    }
    return { row, octets: notices.flatMap(({ octets }) => octets) }
  }

  async function* readBody(messageId: string, body: StoredBody): AsyncGenerator<Uint8Array> {
    if (body.inMemory !== null) {
      yield* body.inMemory
      return
    }
    try {
      if (body.location === 'inline') yield await readInline(messageId, body.sizeBytes)
      else yield* spool.read(messageId, body.sizeBytes)
    } catch (error) {
      if (error instanceof Fault && error.code === 'spool-unreadable') damaged(messageId, error.message)
      throw error
    }
  }

  const readInline = async (messageId: string, sizeBytes: number): Promise<Uint8Array> => {
    const octets = await executor.request('body', { messageId })
    if (octets?.length === sizeBytes) return octets
    throw new Fault('spool-unreadable', `a body has ${octets?.length ?? 'no'} octets instead of ${sizeBytes}`)
  }

  return {
    ...createQueueInspection(executor, clock),

    async start() {
      const { recovered } = await executor.request('begin', { now: clock.now() })
      const orphans = await spool.sweep(Number.POSITIVE_INFINITY, () => false)
      if (recovered + orphans > 0) log.event('queue.recovered', { deliveries: recovered, orphans })
      await guard.start()
    },

    health: () => guard.health(),

    beginBody: (messageId) => createBodyWriter(deps, messageId),

    async enqueue(message, entries, { lease }) {
      const { row, octets } = encodeMessage(message)
      const takes = { message: row, lease, dueAt: clock.now(), events: entries.map(encodeEntry) }
      if (!lease) memory.drop(row.id)
      const body = lease ? lendBody(message) : null
      try {
        await executor.request('enqueue', takes, octets)
      } catch (error) {
        memory.drop(row.id)
        // Away or broken may still mean written: then the file stays, and the sweep decides.
        fileDone([message], error instanceof Fault && error.code !== 'store-unavailable')
        throw error
      }
      fileDone([message], false)
      if (body === null) return []
      return message.recipients.map((recipient, index) => ({
        message: message.meta,
        body,
        index,
        recipient,
        state: FRESH_STATE,
        token: 1,
      }))
    },

    async claim(limit, skipDomains) {
      const takes = { now: clock.now(), limit, skipDomains: [...skipDomains] }
      const { messages, deliveries, orphaned } = await executor.request('claim', takes)
      if (orphaned > 0) damaged(null, `${orphaned} deliveries without their message`)
      const byId = new Map(messages.map((message) => [message.id, message]))
      const grouped = Map.groupBy(deliveries, ({ messageId }) => messageId)
      const claims: Claim[] = []
      for (const [messageId, ofMessage] of grouped) {
        const found = byId.get(messageId)
        if (found) claims.push(...(await claimsOf(found, ofMessage)))
      }
      return claims
    },

    readBody: (message, body) => readBody(message.id, body),

    async settle(settlements) {
      if (settlements.length === 0) return []
      const encoded = settlements.map(settleRow)
      const takes = { now: clock.now(), rows: encoded.map(({ row }) => row) }
      const notices = settlements.flatMap((settlement) => settlement.notices)
      const { results, emptied } = await executor.request(
        'settle',
        takes,
        encoded.flatMap(({ octets }) => octets),
      )
      fileDone(notices, false)
      for (const { claim } of settlements) memory.give(claim.message.id)
      const fenced = settlements.filter((_, index) => results[index] === 'fenced')
      fileDone(
        fenced.flatMap((settlement) => settlement.notices),
        true,
      )
      await spool.remove(emptied)
      return results
    },

    async release(claims) {
      if (claims.length === 0) return
      await executor.request('release', { now: clock.now(), claims: claims.map(keyOf) })
      for (const { message } of claims) memory.give(message.id)
    },

    nextDue: () => executor.request('nextDue', null),

    async sweep(budgetMs, { journalMs }) {
      const end = clock.monotonic() + budgetMs
      const expired = (): boolean => clock.monotonic() >= end
      const before = clock.now() - journalMs
      let journalEntries = 0
      for (let removed = EXPIRE_ROWS; removed === EXPIRE_ROWS && !expired(); journalEntries += removed) {
        removed = await executor.request('expire', { before, limit: EXPIRE_ROWS })
      }
      const orphans = expired() ? 0 : await spool.sweep(clock.now() - ORPHAN_AGE_MS, expired)
      await executor.request('compact', { pages: COMPACT_PAGES, keep: FREE_PAGES_KEPT })
      return { journalEntries, orphans }
    },

    stop: deps.stop,
  }
}
