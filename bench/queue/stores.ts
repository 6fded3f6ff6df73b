// The stores that `bench/queue.ts` measures, opened as the gateway opens them, with a clock that can be set ahead:
// what is queued by it is due later.
import { createHash, createSecretKey } from 'node:crypto'
import { silentLog } from '../../src/observability/log.ts'
import { createVault } from '../../src/queue/sealing.ts'
import type { QueueStore } from '../../src/queue/store.ts'
import type { Vault } from '../../src/queue/vault.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { openPostgresStore } from '../../src/store/postgres/open.ts'
import { parseStoreAddress } from '../../src/store/settings.ts'
import { openSqliteStore } from '../../src/store/sqlite/open.ts'

export interface BenchClock extends Clock {
  /** How far `now` is ahead of the machine's clock, ms. */
  aheadMs: number
}

export interface OpenedStore {
  readonly queue: QueueStore
  stop(): Promise<void>
}

export interface StoreOptions {
  readonly encrypted: boolean
  readonly clock: BenchClock
}

export function createBenchClock(): BenchClock {
  const clock: BenchClock = { ...systemClock, aheadMs: 0, now: () => systemClock.now() + clock.aheadMs }
  return clock
}

/** The same key in every process of a run. */
const vaultOf = ({ encrypted }: StoreOptions): Vault => {
  const key = createSecretKey(createHash('sha256').update('bench').digest())
  return createVault(
    { masterKeys: encrypted ? [{ id: 'bench', key }] : [], acceptUnencrypted: true },
    systemRandom,
  )
}

/** The embedded store, started. */
export async function openEmbedded(dataDirectory: string, options: StoreOptions): Promise<OpenedStore> {
  const { clock } = options
  const store = await openSqliteStore(
    { clock, random: systemRandom, log: silentLog, vault: vaultOf(options) },
    { dataDirectory, memoryBudget: 128 * 1024 ** 2, diskReserve: 0, ballast: 0 },
  )
  await store.queue.start()
  return store
}

/** The shared store in the database of `url`, started. */
export async function openShared(url: string, options: StoreOptions): Promise<OpenedStore> {
  const address = parseStoreAddress(url)
  if (address?.kind !== 'postgres') throw new Error('--postgres: not the URL of a PostgreSQL database')
  const { clock } = options
  const lease = { heartbeat: 5000, fenceAfter: 14_000, deadAfter: 20_000 }
  const store = await openPostgresStore(
    { clock, leaseClock: systemClock, random: systemRandom, log: silentLog, vault: vaultOf(options) },
    {
      address,
      memoryBudget: 128 * 1024 ** 2,
      cluster: { ...lease, nodeName: 'bench', requireSynchronousStandby: false },
    },
  )
  await store.queue.start()
  return store
}
