// An embedded store in a directory of its own, with a clock that the test moves.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventName } from '../../src/observability/events.ts'
import type { Fault } from '../../src/runtime/fault.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { openSqliteStore, type SqliteStore, type SqliteStoreSettings } from '../../src/store/sqlite/open.ts'
import type { ContractStore } from '../contract/contract-store.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'

export interface TestStore extends ContractStore, SqliteStore {
  readonly dataDirectory: string
  /** Log events so far, oldest first. */
  readonly events: { name: EventName; fields: Readonly<Record<string, unknown>> }[]
  readonly faults: Fault[]
  restart(): Promise<TestStore>
}

interface Options {
  readonly dataDirectory?: string
  readonly clock?: ManualClock
  readonly settings?: Partial<SqliteStoreSettings>
}

/** Opened and started. `dispose` removes the directory unless it was given. */
export async function openTestStore(options: Options = {}): Promise<TestStore> {
  const dataDirectory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), 'store-test-')))
  const clock = options.clock ?? createManualClock()
  const events: TestStore['events'] = []
  const faults: Fault[] = []
  const log = {
    event: (name: EventName, fields: object) => void events.push({ name, fields: { ...fields } }),
  }
  const store = await openSqliteStore(
    { clock, random: systemRandom, log, onFatal: (fault) => faults.push(fault) },
    { dataDirectory, memoryBudget: 16 * 1024 ** 2, diskReserve: 0, ballast: 0, ...options.settings },
  )
  await store.queue.start()
  return {
    ...store,
    dataDirectory,
    clock,
    events,
    faults,
    newId: createIdSource(clock, systemRandom),
    async bodyFiles() {
      const entries = await readdir(join(dataDirectory, 'spool'), {
        recursive: true,
        withFileTypes: true,
      }).catch(() => [])
      return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
    },
    async restart() {
      await store.stop()
      return openTestStore({ ...options, dataDirectory, clock })
    },
    async dispose() {
      await store.stop()
      await rm(dataDirectory, { recursive: true, force: true })
    },
  }
}
