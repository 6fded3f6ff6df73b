// What the store does by itself, a little at a time: journal entries past their retention go, held deliveries
// whose lifetime is over become due to be failed, message keys move to the current master key, orphaned files
// and free pages are given back. Each part is a row of short steps until the budget is used up.
import type { Log } from '../../observability/log.ts'
import type { QueueStore } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { Spool } from './spool.ts'
import type { Executor, StoredKey } from './writer/protocol.ts'

/** A body file that no message names is an orphan from this age on. */
const ORPHAN_AGE_MS = 3_600_000
const EXPIRE_ROWS = 1000
const EXPIRE_HELD_ROWS = 200
const REWRAP_ROWS = 200
/** 8 MB at a time, in the writer thread. */
const COMPACT_PAGES = 500
/** Free pages that are left for the next burst (64 MB). */
const FREE_PAGES_KEPT = 4096

export interface UpkeepDeps {
  readonly executor: Executor
  readonly vault: Vault
  readonly clock: Clock
  readonly log: Log
  readonly spool: Spool
  /** Something became due. */
  readonly onDue: () => void
}

export function createSweep({ executor, vault, clock, log, spool, onDue }: UpkeepDeps): QueueStore['sweep'] {
  const [current = '', ...former] = vault.masterKeyIds
  /** Per former master key, the last message whose key was looked at: one that is damaged stops no other. */
  const reached = new Map<string, number>()

  const expireHeld = async (): Promise<void> => {
    const deliveries = await executor.request('expireHeld', { now: clock.now(), limit: EXPIRE_HELD_ROWS })
    if (deliveries === 0) return
    log.event('queue.held-expired', { deliveries })
    onDue()
  }

  const rewrapped = ({ id, masterKey, wrappedKey }: StoredKey) => {
    try {
      const { masterKeyId, wrapped } = vault.rewrap(id, masterKey, wrappedKey)
      return [
        {
          row: { messageId: id, from: masterKey, to: masterKeyId, wrappedKeyBytes: wrapped.length },
          wrapped,
        },
      ]
    } catch (error) {
      // A damaged key: found when its message is due.
      if (error instanceof Fault && error.code === 'spool-unreadable') return []
      throw error
    }
  }

  /** One step; the number of keys that were looked at. */
  const rewrapSome = async (masterKey: string): Promise<number> => {
    const after = reached.get(masterKey) ?? 0
    const { keys, last } = await executor.request('wrappedBy', { masterKey, after, limit: REWRAP_ROWS })
    const done = keys.flatMap(rewrapped)
    if (done.length > 0) {
      const rows = done.map(({ row }) => row)
      await executor.request(
        'rewrap',
        { rows },
        done.map(({ wrapped }) => wrapped),
      )
      log.event('queue.rewrapped', { messages: done.length, masterKey: current, formerMasterKey: masterKey })
    }
    reached.set(masterKey, last)
    return keys.length
  }

  return async (budgetMs, { journalMs }) => {
    const end = clock.monotonic() + budgetMs
    const expired = (): boolean => clock.monotonic() >= end
    await expireHeld()
    for (const masterKey of former) while (!expired() && (await rewrapSome(masterKey)) === REWRAP_ROWS);
    const before = clock.now() - journalMs
    let journalEntries = 0
    for (let removed = EXPIRE_ROWS; removed === EXPIRE_ROWS && !expired(); journalEntries += removed) {
      removed = await executor.request('expire', { before, limit: EXPIRE_ROWS })
    }
    const orphans = expired() ? 0 : await spool.sweep(clock.now() - ORPHAN_AGE_MS, expired)
    await executor.request('compact', { pages: COMPACT_PAGES, keep: FREE_PAGES_KEPT })
    return { journalEntries, orphans }
  }
}
