// A shared store on a database of its own (or on one that is given), with a clock that the test moves; leases and
// deadlines run by the machine's clock.
import type { EventName } from '../../src/observability/events.ts'
import type { Vault } from '../../src/queue/vault.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import {
  openPostgresStore,
  type PostgresStore,
  type PostgresStoreDeps,
} from '../../src/store/postgres/open.ts'
import { parseStoreAddress } from '../../src/store/settings.ts'
import type { ContractStore, StoredPart } from '../contract/contract-store.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import type { PostgresServer } from '../support/postgres.ts'

export interface SharedStore extends ContractStore, PostgresStore {
  /** Log events so far, oldest first. */
  readonly events: { name: EventName; fields: Readonly<Record<string, unknown>> }[]
  restart(vault?: Vault): Promise<SharedStore>
}

export interface SharedOptions {
  readonly server: PostgresServer
  readonly url: string
  readonly nodeName?: string
  readonly clock?: ManualClock
  readonly deps?: Partial<PostgresStoreDeps>
  readonly cluster?: {
    readonly heartbeat?: number
    readonly fenceAfter?: number
    readonly deadAfter?: number
    readonly requireSynchronousStandby?: boolean
  }
}

const TABLES = ['node', 'message', 'delivery', 'chunk', 'upload', 'event']
const COLUMNS: Readonly<Record<StoredPart, readonly [table: string, column: string, id: string]>> = {
  'wrapped key': ['message', 'wrapped_key', 'id'],
  envelope: ['message', 'envelope', 'id'],
  recipient: ['delivery', 'recipient', 'message_id'],
  state: ['delivery', 'state', 'message_id'],
  body: ['chunk', 'octets', 'body_id'],
}

/** Opened and started. */
export async function openSharedStore(options: SharedOptions): Promise<SharedStore> {
  const { server, url, nodeName = 'node-1', clock = createManualClock() } = options
  const address = parseStoreAddress(url)
  if (address?.kind !== 'postgres') throw new Error(`${url} is not the address of a database`)
  const events: SharedStore['events'] = []
  const log = {
    event: (name: EventName, fields: object) => void events.push({ name, fields: { ...fields } }),
  }
  const store = await openPostgresStore(
    { clock, leaseClock: systemClock, random: systemRandom, log, ...options.deps },
    {
      address,
      memoryBudget: 16 * 1024 ** 2,
      cluster: {
        nodeName,
        heartbeat: 5000,
        fenceAfter: 14_000,
        deadAfter: 20_000,
        requireSynchronousStandby: false,
        ...options.cluster,
      },
    },
  )
  try {
    await store.queue.start()
  } catch (error) {
    await store.stop()
    throw error
  }
  const edit = async (sql: string): Promise<void> => {
    await server.sql(`SET search_path = secure_transport; ${sql}`, url)
  }
  return {
    ...store,
    clock,
    events,
    newId: createIdSource(clock, systemRandom),
    async bodyFiles() {
      const found = await server.sql(
        "SELECT DISTINCT left(body_id, 18) FROM secure_transport.chunk WHERE body_id LIKE '%.%'",
        url,
      )
      return found.split('\n').filter((line) => line !== '')
    },
    damages: () => events.map(({ name }) => name).filter((name) => name.startsWith('queue.damaged')),
    storedOctets: () =>
      server.octets(
        TABLES.map((table) => `secure_transport.${table}`),
        url,
      ),
    async damage(messageId, part) {
      const [table, column, id] = COLUMNS[part]
      const middle = `length(${column}) / 2`
      await edit(`UPDATE ${table} SET ${column} = set_byte(${column}, ${middle}, get_byte(${column}, ${middle}) # 1)
        WHERE left(${id}, 18) = '${messageId}' ${table === 'delivery' ? 'AND position = 0' : ''}`)
    },
    truncateBody: (messageId) =>
      edit(`UPDATE chunk AS c SET octets = substring(octets FOR length(octets) - 1)
        WHERE left(body_id, 18) = '${messageId}' AND n = (SELECT max(n) FROM chunk AS o WHERE o.body_id = c.body_id)`),
    swapBodies: (one, other) =>
      edit(`UPDATE chunk SET body_id = 'swapped' WHERE body_id = '${one}';
        UPDATE chunk SET body_id = '${one}' WHERE body_id = '${other}';
        UPDATE chunk SET body_id = '${other}' WHERE body_id = 'swapped'`),
    async restart(changed) {
      await store.stop()
      const deps = { ...options.deps, ...(changed === undefined ? {} : { vault: changed }) }
      return openSharedStore({ ...options, clock, deps })
    },
    dispose: () => store.stop(),
  }
}
