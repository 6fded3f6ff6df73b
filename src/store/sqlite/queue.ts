// The queue of one machine: the port `QueueStore` over the writer thread and the spool folder. The order that
// keeps the promise: body on stable storage, then the row that names it; row removed, then the file. Everything
// is sealed before it leaves for writer or file, and opened behind them: neither ever holds a key.
import type { JournalEntry } from '../../journal/entry.ts'
import type { Log } from '../../observability/log.ts'
import type { Claim, MessageMeta, NewMessage, StoredBody } from '../../queue/message.ts'
import type { MasterKeyControl, QueueStore, Settlement } from '../../queue/store.ts'
import type { MessageKey, Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { BodyMemory } from '../body-memory.ts'
import { encodeEntry, encodeMessage, encodeState, FRESH_STATE } from '../record.ts'
import { createBodyWriter } from './body-writer.ts'
import { createClaims } from './claims.ts'
import { createQueueControl } from './control.ts'
import type { DiskGuard } from './disk-guard.ts'
import { type Packed, packMessage } from './packing.ts'
import type { Spool } from './spool.ts'
import { createSweep } from './upkeep.ts'
import type { ClaimKey, Executor, MessageRow, SettleRow } from './writer/protocol.ts'

export interface QueueDeps {
  readonly dataDirectory: string
  readonly clock: Clock
  readonly log: Log
  readonly vault: Vault
  readonly executor: Executor
  readonly spool: Spool
  readonly memory: BodyMemory
  readonly guard: DiskGuard
  /** Keys of bodies with a file that no row names yet, by message; shared with the spool. */
  readonly open: Map<string, MessageKey>
  readonly fileFault: (error: unknown) => Fault
  /** True while the lock on the data directory is held and results can be recorded. */
  readonly mayStillSend: () => boolean
  readonly stop: () => Promise<void>
}

const keyOf = ({ message, index, token }: Claim): ClaimKey => ({
  messageId: message.id,
  position: index,
  token,
})

export function createQueue(deps: QueueDeps): QueueStore & MasterKeyControl {
  const { clock, log, vault, executor, spool, memory, guard, open } = deps
  const claims = createClaims(deps)
  /** Messages whose body turned out to be damaged while somebody held a claim on them. */
  const damagedBodies = new WeakSet<MessageMeta>()
  const wakes: (() => void)[] = []
  const onDue = (): void => {
    for (const wake of wakes) wake()
  }

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

  /** A body in a file was sealed with its key when it was written; for any other the key is made now. */
  const sealed = (message: NewMessage): { key: MessageKey; packed: Packed<MessageRow> } => {
    const { id } = message.meta
    const key = message.body.location === 'inline' ? vault.createKey(id) : open.get(id)
    if (key === undefined)
      throw new Fault('internal', 'a message was enqueued twice, or its body is not ours')
    return { key, packed: packMessage(encodeMessage(message, key)) }
  }

  const damaged = (message: string | null, reason: string): void =>
    log.event('queue.damaged', { message, reason })

  const laterOf = (settlement: Settlement & { kind: 'later' }, state: Uint8Array | null) => {
    const { claim, nextAttemptAt } = settlement
    const isDamaged = damagedBodies.has(claim.message)
    return {
      nextAt: isDamaged ? claim.message.expiresAt : nextAttemptAt,
      attempts: settlement.state.attempts,
      cause: settlement.state.lastFailure?.cause ?? null,
      held: isDamaged ? 'damaged' : null,
      stateBytes: state?.length ?? 0,
    }
  }

  const settleRow = (settlement: Settlement, key: MessageKey | null): Packed<SettleRow> => {
    const { claim, entries } = settlement
    const notices = settlement.notices.map((notice) => sealed(notice).packed)
    const isLater = settlement.kind === 'later'
    const state = isLater && key !== null ? encodeState(key, claim.index, settlement.state) : null
    const isPutAside = isLater && damagedBodies.has(claim.message)
    return {
      row: {
        ...keyOf(claim),
        events: [...entries, ...(isPutAside ? [heldEntry(claim, clock.now())] : [])].map(encodeEntry),
        notices: notices.map(({ row }) => row),
        later: isLater ? laterOf(settlement, state) : null,
      },
      octets: [...(state === null ? [] : [state]), ...notices.flatMap(({ octets }) => octets)],
    }
  }

  const keysFor = async (settlements: readonly Settlement[]): Promise<(MessageKey | null)[]> =>
    settlements.some(({ kind }) => kind === 'later')
      ? claims.keysOf(settlements.map(({ claim }) => claim.message))
      : settlements.map(() => null)

  async function* readBody(message: MessageMeta, body: StoredBody): AsyncGenerator<Uint8Array> {
    if (body.inMemory !== null) {
      yield* body.inMemory
      return
    }
    try {
      yield* readStored(message.id, body.sizeBytes)
    } catch (error) {
      if (error instanceof Fault && error.code === 'spool-unreadable') {
        damagedBodies.add(message)
        damaged(message.id, error.message)
      }
      throw error
    }
  }

  async function* readStored(messageId: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
    const found = await executor.request('body', { messageId })
    if (found === null) throw new Fault('spool-unreadable', 'the message is gone')
    const { masterKey, wrappedKey } = found.key
    const pipe = vault.openKey(messageId, masterKey, wrappedKey).openBody()
    const stored = found.octets === null ? spool.read(messageId) : [found.octets]
    let seen = 0
    for await (const chunk of stored) {
      for (const plain of pipe.write(chunk)) {
        seen += plain.length
        yield plain
      }
    }
    for (const plain of pipe.end()) {
      seen += plain.length
      yield plain
    }
    if (seen !== sizeBytes) {
      throw new Fault('spool-unreadable', `a body has ${seen} octets instead of ${sizeBytes}`)
    }
  }

  return {
    ...createQueueControl({ ...deps, onDue }),

    async start() {
      const { recovered } = await executor.request('begin', { now: clock.now() })
      const orphans = await spool.sweep(Number.POSITIVE_INFINITY, () => false)
      if (recovered + orphans > 0) log.event('queue.recovered', { deliveries: recovered, orphans })
      for (const { id, messages } of await executor.request('keyUsage', null)) {
        if (id !== '' && !vault.masterKeyIds.includes(id)) {
          log.event('queue.master-key-missing', { masterKey: id, messages })
        }
      }
      await guard.start()
    },

    health: () => guard.health(),

    beginBody: (messageId) => createBodyWriter(deps, messageId),

    async enqueue(message, entries, { lease }) {
      const { key, packed } = sealed(message)
      const { row, octets } = packed
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
      claims.keep(message.meta, key)
      return message.recipients.map((recipient, index) => ({
        message: message.meta,
        body,
        index,
        recipient,
        state: FRESH_STATE,
        token: 1,
        route: null,
        order: 'deliver',
      }))
    },

    async claim(limit, skipDomains) {
      const takes = { now: clock.now(), limit, skip: [...skipDomains] }
      const { messages, deliveries, orphaned } = await executor.request('claim', takes)
      if (orphaned > 0) damaged(null, `${orphaned} deliveries without their message`)
      return claims.fromRows(messages, deliveries)
    },

    readBody,

    async settle(settlements) {
      if (settlements.length === 0) return []
      const keys = await keysFor(settlements)
      const packed = settlements.map((settlement, index) => settleRow(settlement, keys[index] ?? null))
      const takes = { now: clock.now(), rows: packed.map(({ row }) => row) }
      const notices = settlements.flatMap((settlement) => settlement.notices)
      const { results, emptied } = await executor.request(
        'settle',
        takes,
        packed.flatMap(({ octets }) => octets),
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

    async release(given) {
      if (given.length === 0) return
      await executor.request('release', { now: clock.now(), claims: given.map(keyOf) })
      for (const { message } of given) memory.give(message.id)
    },

    nextDue: () => executor.request('nextDue', null),

    mayStillSend: deps.mayStillSend,

    onDue: (wake) => void wakes.push(wake),

    sweep: createSweep({ ...deps, onDue }),

    stop: deps.stop,
  }
}

/** @param at epoch ms */
const heldEntry = ({ message, recipient }: Claim, at: number): JournalEntry => ({
  at,
  kind: 'held',
  messageId: message.id,
  customer: message.customer,
  reversePath: message.envelope.reversePath?.text ?? '',
  forwardPath: recipient.forwardPath.text,
  facts: { cause: 'damaged', detail: 'body unreadable' },
})
