// The queue of several machines: the port `QueueStore` over the shared database. Everything that belongs together
// is one transaction; everything is sealed before it leaves for the database and opened behind it.
//
// What this process holds and what the database says it owns are kept the same (cluster/ledger.ts, doubts.ts):
// a claim is in the ledger before its commit is sent or as soon as its answer came, and leaves it when it is
// settled or released. `release` never fails: what cannot be said now is found by the comparison later.
import type { JournalEntry } from '../../journal/entry.ts'
import type { Log } from '../../observability/log.ts'
import type { Claim, MessageMeta, NewMessage, StoredBody } from '../../queue/message.ts'
import type { MasterKeyControl, QueueStore, Settlement, StoreHealth } from '../../queue/store.ts'
import type { MessageKey, Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { BodyMemory } from '../body-memory.ts'
import { encodeEntry, encodeMessage, encodeState, FRESH_STATE } from '../record.ts'
import type { Bodies } from './bodies.ts'
import { type BodyWriterDeps, createBodyWriter, type Upload } from './body-writer.ts'
import { createClaims } from './claims.ts'
import { type Doubts, GIVE_BACK } from './cluster/doubts.ts'
import { keyOf, type Ledger } from './cluster/ledger.ts'
import type { Membership } from './cluster/membership.ts'
import { createQueueControl } from './control.ts'
import { integerOrNull } from './session/columns.ts'
import type { Connection, Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf, troubleOf } from './session/trouble.ts'
import { createSweep } from './upkeep.ts'
import { createClaimer } from './writer/claim.ts'
import type { GroupCommit } from './writer/group-commit.ts'
import type { SettleRow } from './writer/jobs.ts'
import type { NewRecord } from './writer/message-rows.ts'

export interface QueueDeps {
  readonly clock: Clock
  readonly log: Log
  readonly vault: Vault
  /** For what must be durable, and for the rest. */
  readonly commits: Pool
  readonly reads: Pool
  readonly group: GroupCommit
  readonly membership: Membership
  readonly ledger: Ledger
  readonly doubts: Doubts
  readonly memory: BodyMemory
  readonly bodies: Bodies
  /** Bodies that streamed in and that no message names yet; shared with the body writers. */
  readonly uploads: Map<string, Upload>
  readonly writerDeps: BodyWriterDeps
  readonly health: () => StoreHealth
  /** Whom to call when something may have become due. */
  readonly wakes: (() => void)[]
  readonly stop: () => Promise<void>
}

const NEXT_DUE: Statement = {
  name: 'next-due',
  text: 'SELECT min(next_at) AS at FROM delivery WHERE owner IS NULL AND held IS NULL',
}

export function createQueue(deps: QueueDeps): QueueStore & MasterKeyControl {
  const { clock, log, vault, commits, reads, group, membership, ledger, doubts, memory, bodies, uploads } =
    deps
  const findDue = createClaimer()
  /** Messages whose body turned out to be damaged while somebody held a claim on them. */
  const damagedBodies = new WeakSet<MessageMeta>()
  const onDue = (): void => {
    for (const wake of deps.wakes) wake()
  }

  /** The run that may own deliveries now. */
  const owner = (): number => {
    const { incarnation } = membership
    if (incarnation !== null && membership.isLeaseValid()) return incarnation
    throw new Fault(
      'store-unavailable',
      'this gateway has no valid lease: its heartbeat does not get through',
    )
  }
  const settleRows = async (rows: readonly SettleRow[]) => {
    const { incarnation } = membership
    // A result is stored as long as nobody took the delivery over, however late: no valid lease is needed.
    if (incarnation === null) throw new Fault('store-unavailable', 'this gateway begins a new run')
    return group.run({ kind: 'settle', rows, owner: incarnation, now: clock.now() })
  }
  const claims = createClaims({ pool: reads, vault, clock, log, settle: settleRows })

  /** The body as claims on it carry it: with its octets while the budget lasts. */
  const lendBody = ({ meta, recipients, body }: NewMessage): StoredBody => {
    if (body.inMemory === null) return body
    if (body.location === 'inline' && !memory.grow(meta.id, body.sizeBytes))
      return { ...body, inMemory: null }
    memory.lend(meta.id, recipients.length)
    return body
  }

  /** A body that streamed in was sealed with its key; for any other the key is made now. */
  const sealed = (message: NewMessage): { record: NewRecord; key: MessageKey } => {
    const { location } = message.body
    const { id } = message.meta
    if (location === 'inline') {
      const key = vault.createKey(id)
      return { record: { ...encodeMessage(message, key), bodyId: id, chunks: null }, key }
    }
    const upload = uploads.get(location)
    if (upload === undefined) {
      throw new Fault('internal', 'a message was enqueued twice, or its body is not ours')
    }
    const { key, chunks } = upload
    return { record: { ...encodeMessage(message, key), bodyId: location, chunks }, key }
  }
  /** The body belongs to a message now, or to nobody any more. */
  const uploadDone = ({ location }: StoredBody, isStored: boolean): void => {
    if (location === 'inline' || !uploads.delete(location)) return
    if (!isStored) bodies.discard(location)
  }

  const damaged = (message: string | null, reason: string): void =>
    log.event('queue.damaged', { message, reason })

  const settleRow = (settlement: Settlement, key: MessageKey | null): SettleRow => {
    const { claim, entries } = settlement
    const notices = settlement.notices.map((notice) => sealed(notice).record)
    if (settlement.kind === 'done') {
      return { ...keyOf(claim), events: entries.map(encodeEntry), notices, later: null }
    }
    const isDamaged = damagedBodies.has(claim.message)
    const { state, nextAttemptAt } = settlement
    return {
      ...keyOf(claim),
      events: [...entries, ...(isDamaged ? [heldEntry(claim, clock.now())] : [])].map(encodeEntry),
      notices,
      later: {
        nextAt: isDamaged ? claim.message.expiresAt : nextAttemptAt,
        attempts: state.attempts,
        cause: state.lastFailure?.cause ?? null,
        held: isDamaged ? 'damaged' : null,
        state: key === null ? null : encodeState(key, claim.index, state),
      },
    }
  }
  const keysFor = async (settlements: readonly Settlement[]): Promise<(MessageKey | null)[]> =>
    settlements.some(({ kind }) => kind === 'later')
      ? claims.keysOf(settlements.map(({ claim }) => claim.message))
      : settlements.map(() => null)

  /** Takes due deliveries. Whatever was taken without our learning of it goes back later. */
  const take = async (connection: Connection, limit: number, skip: readonly string[]) => {
    const mine = owner()
    try {
      const found = await findDue(connection, { now: clock.now(), owner: mine, limit, skip })
      ledger.add(found.deliveries, mine)
      return found
    } catch (error) {
      if (troubleOf(error).kind === 'away') doubts.note(connection.label, [])
      else doubts.noteUnheld()
      throw error
    }
  }

  const giveBack = async (given: readonly Claim[]): Promise<void> => {
    const { incarnation } = membership
    ledger.remove(given.map(keyOf))
    for (const { message } of given) memory.give(message.id)
    if (incarnation === null) return
    const rows = given.map(({ message, index, token }) => ({
      message_id: message.id,
      position: index,
      token,
    }))
    const values = [JSON.stringify(rows), incarnation, clock.now()]
    try {
      await commits.run((connection) => connection.query(GIVE_BACK, values))
    } catch {
      doubts.noteUnheld() // the comparison gives them back
    }
  }

  const control = createQueueControl({ commits, reads, clock, vault, onDue })

  return {
    ...control,

    async start() {
      const { recovered, orphans } = await membership.start().catch((error) => {
        throw faultOf(error)
      })
      if (recovered + orphans > 0) log.event('queue.recovered', { deliveries: recovered, orphans })
      for (const { id, messages } of await control.masterKeyUsage()) {
        if (id !== '' && !vault.masterKeyIds.includes(id)) {
          log.event('queue.master-key-missing', { masterKey: id, messages })
        }
      }
    },

    health: deps.health,

    beginBody: (messageId) => createBodyWriter(deps.writerDeps, messageId),

    async enqueue(message, entries, { lease }) {
      const { meta, recipients } = message
      const keys = lease ? recipients.map((_, position) => ({ messageId: meta.id, position, token: 1 })) : []
      let body: StoredBody | null = null
      try {
        const mine = lease ? owner() : null
        const { record, key } = sealed(message)
        if (mine !== null) ledger.add(keys, mine)
        if (lease) body = lendBody(message)
        else memory.drop(meta.id)
        const events = entries.map(encodeEntry)
        await group.run({ kind: 'enqueue', record, owner: mine, dueAt: clock.now(), events })
        uploadDone(message.body, true)
        if (lease) claims.keep(meta, key)
      } catch (error) {
        ledger.remove(keys)
        memory.drop(meta.id)
        uploadDone(message.body, false)
        throw error
      }
      if (body === null) return []
      const lent = body
      return recipients.map((recipient, index) => ({
        message: meta,
        body: lent,
        index,
        recipient,
        state: FRESH_STATE,
        token: 1,
        route: null,
        order: 'deliver',
      }))
    },

    async claim(limit, skipDomains) {
      if (!membership.isLeaseValid()) return []
      try {
        const skip = [...skipDomains]
        const { messages, deliveries, orphaned } = await doubts.whileClaiming(() =>
          commits.run((connection) => take(connection, limit, skip)),
        )
        if (orphaned > 0) damaged(null, `${orphaned} deliveries without their message`)
        const found = await claims.fromRows(messages, deliveries)
        const readable = new Set(found.map(({ message, index }) => `${message.id}:${index}`))
        ledger.remove(
          deliveries.filter(({ messageId, position }) => !readable.has(`${messageId}:${position}`)),
        )
        return found
      } catch (error) {
        throw faultOf(error)
      }
    },

    async *readBody(message, body) {
      try {
        yield* bodies.read(message, body)
      } catch (error) {
        if (error instanceof Fault && error.code === 'spool-unreadable') {
          damagedBodies.add(message)
          damaged(message.id, error.message)
        }
        throw error
      }
    },

    async settle(settlements) {
      if (settlements.length === 0) return []
      try {
        const keys = await keysFor(settlements)
        const results = await settleRows(
          settlements.map((settlement, index) => settleRow(settlement, keys[index] ?? null)),
        )
        for (const [index, { claim, notices }] of settlements.entries()) {
          memory.give(claim.message.id)
          ledger.remove([keyOf(claim)])
          for (const { body } of notices) uploadDone(body, results[index] === 'ok')
        }
        return results
      } catch (error) {
        throw faultOf(error)
      }
    },

    async release(given) {
      if (given.length > 0) await giveBack(given)
    },

    async nextDue() {
      try {
        const { rows } = await reads.run((connection) => connection.query(NEXT_DUE))
        return integerOrNull(rows[0] ?? {}, 'at')
      } catch (error) {
        throw faultOf(error)
      }
    },

    mayStillSend(held) {
      const { incarnation } = membership
      if (incarnation === null || !membership.isLeaseValid()) return false
      return held === undefined ? !ledger.hasStrayed(incarnation) : ledger.holds(held.map(keyOf), incarnation)
    },

    onDue: (wake) => void deps.wakes.push(wake),

    sweep: createSweep({ pool: commits, vault, clock, log, bodies, onDue }),

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
