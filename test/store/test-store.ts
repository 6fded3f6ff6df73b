// An embedded store in a directory of its own, with a clock that the test moves.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { EventName } from '../../src/observability/events.ts'
import type { Vault } from '../../src/queue/vault.ts'
import type { Fault } from '../../src/runtime/fault.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { bodyPath, queuePath } from '../../src/store/sqlite/layout.ts'
import { openSqliteStore, type SqliteStore, type SqliteStoreSettings } from '../../src/store/sqlite/open.ts'
import type { ContractStore, StoredPart } from '../contract/contract-store.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { testVault } from '../support/test-vault.ts'

export interface TestStore extends ContractStore, Omit<SqliteStore, 'queue' | 'journal'> {
  readonly dataDirectory: string
  /** Log events so far, oldest first. */
  readonly events: { name: EventName; fields: Readonly<Record<string, unknown>> }[]
  readonly faults: Fault[]
  /** Runs SQL on queue.db behind the store's back. */
  edit(sql: string): void
  restart(vault?: Vault): Promise<TestStore>
}

interface Options {
  readonly dataDirectory?: string
  readonly clock?: ManualClock
  readonly vault?: Vault
  readonly settings?: Partial<SqliteStoreSettings>
}

/** Opened and started. `dispose` removes the directory unless it was given. */
export async function openTestStore(options: Options = {}): Promise<TestStore> {
  const dataDirectory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), 'store-test-')))
  const clock = options.clock ?? createManualClock()
  const vault = options.vault ?? testVault()
  const events: TestStore['events'] = []
  const faults: Fault[] = []
  const log = {
    event: (name: EventName, fields: object) => void events.push({ name, fields: { ...fields } }),
  }
  const store = await openSqliteStore(
    { clock, random: systemRandom, log, vault, onFatal: (fault) => faults.push(fault) },
    { dataDirectory, memoryBudget: 16 * 1024 ** 2, diskReserve: 0, ballast: 0, ...options.settings },
  )
  await store.queue.start()
  const edit = (sql: string): void => {
    const database = new DatabaseSync(queuePath(dataDirectory))
    database.exec(sql)
    database.close()
  }
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
    damages: () => events.map(({ name }) => name).filter((name) => name.startsWith('queue.damaged')),
    async storedOctets() {
      const entries = await readdir(dataDirectory, { recursive: true, withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      return Buffer.concat(
        await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name)))),
      )
    },
    edit,
    async damage(messageId, part) {
      if (part === 'body') return changeBody(dataDirectory, messageId, (octets) => flipped(octets))
      const [table, column] = COLUMNS[part]
      changeColumn(dataDirectory, messageId, table, column, flipped)
    },
    truncateBody: (messageId) => changeBody(dataDirectory, messageId, (octets) => octets.subarray(0, -1)),
    async swapBodies(one, other) {
      const seq = (id: string): string => `(SELECT seq FROM message WHERE id = '${id}')`
      edit(`UPDATE body SET message = -1 WHERE message = ${seq(one)};
        UPDATE body SET message = ${seq(one)} WHERE message = ${seq(other)};
        UPDATE body SET message = ${seq(other)} WHERE message = -1`)
    },
    async restart(changed = vault) {
      await store.stop()
      return openTestStore({ ...options, dataDirectory, clock, vault: changed })
    },
    async dispose() {
      await store.stop()
      await rm(dataDirectory, { recursive: true, force: true })
    },
  }
}

const COLUMNS: Readonly<Record<Exclude<StoredPart, 'body'>, readonly [table: string, column: string]>> = {
  'wrapped key': ['message', 'wrapped_key'],
  envelope: ['message', 'envelope'],
  recipient: ['delivery', 'sealed_recipient'],
  state: ['delivery', 'sealed_state'],
}

/** One bit in the middle. */
function flipped(octets: Uint8Array): Uint8Array {
  const copy = Buffer.from(octets)
  const middle = copy.length >> 1
  copy.writeUInt8(copy.readUInt8(middle) ^ 1, middle)
  return copy
}

function changeColumn(
  dataDirectory: string,
  messageId: string,
  table: string,
  column: string,
  change: (octets: Uint8Array) => Uint8Array,
): boolean {
  const database = new DatabaseSync(queuePath(dataDirectory))
  const seq = '(SELECT seq FROM message WHERE id = ?)'
  const where = `${table === 'message' ? 'seq' : 'message'} = ${seq}${table === 'delivery' ? ' AND position = 0' : ''}`
  try {
    const found = database.prepare(`SELECT ${column} AS octets FROM ${table} WHERE ${where}`).get(messageId)
    if (!(found?.['octets'] instanceof Uint8Array)) return false
    database
      .prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`)
      .run(change(found['octets']), messageId)
    return true
  } finally {
    database.close()
  }
}

async function changeBody(
  dataDirectory: string,
  messageId: string,
  change: (octets: Uint8Array) => Uint8Array,
): Promise<void> {
  if (changeColumn(dataDirectory, messageId, 'body', 'octets', change)) return
  const path = bodyPath(dataDirectory, messageId)
  await writeFile(path, change(await readFile(path)))
}
