// Puts the shared store together: connections, group commit, membership, and the three ports on top. Only
// relay.ts calls this; the command line has its own door in admin.ts.
import type { AccountStore } from '../../accounts/store.ts'
import type { JournalStore } from '../../journal/store.ts'
import type { Log } from '../../observability/log.ts'
import { clearVault } from '../../queue/clear-vault.ts'
import type { MasterKeyControl, QueueStore, StoreHealth } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { Random } from '../../runtime/random.ts'
import { createBodyMemory } from '../body-memory.ts'
import type { PostgresAddress } from '../settings.ts'
import { createAccounts } from './accounts.ts'
import { createBodies } from './bodies.ts'
import type { Upload } from './body-writer.ts'
import { createDoubts } from './cluster/doubts.ts'
import { createLedger } from './cluster/ledger.ts'
import { createMembership, type MembershipSettings } from './cluster/membership.ts'
import { createJournal } from './journal.ts'
import { createQueue } from './queue.ts'
import { migrate } from './session/migrate.ts'
import { createOpener } from './session/opener.ts'
import { createPool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import { createGroupCommit } from './writer/group-commit.ts'

export interface PostgresStoreDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Encryption at rest; none when it is not given. */
  readonly vault?: Vault
  /** Never called: nothing here needs a restart. The same shape as the embedded store's. */
  readonly onFatal?: (fault: Fault) => void
  /** Clock for deadlines and the lease, when a test moves `clock`. */
  readonly leaseClock?: Clock
}

export interface PostgresStoreSettings {
  readonly address: PostgresAddress
  /** Octets of bodies on their first attempt that are kept in memory. */
  readonly memoryBudget: number
  readonly cluster: MembershipSettings
  /** Connections for commits; default 4. Two more read, one keeps the lease. */
  readonly writers?: number
}

export interface PostgresStore {
  /** `queue.start()` begins a new run of this node; journal and accounts work without it. */
  readonly queue: QueueStore & MasterKeyControl
  readonly journal: JournalStore
  readonly accounts: AccountStore
  /** The same as `queue.stop()`; a second call waits for the first. */
  stop(): Promise<void>
}

export const MIGRATIONS = new URL('../migrations/postgres/', import.meta.url)
const WRITERS = 4
const READERS = 2
const CONNECT_LIMIT_MS = 15_000
/** A request that waits for so long means that the database does not follow: no new mail. */
const SLOW_MS = 10_000

/** Connects and migrates. Rejects with a `Fault` when no server that takes writes can be reached in time. */
export async function openPostgresStore(
  deps: PostgresStoreDeps,
  settings: PostgresStoreSettings,
): Promise<PostgresStore> {
  const { clock, random, log, vault = clearVault, leaseClock = clock } = deps
  const { address, cluster } = settings
  const parts = { clock: leaseClock, random, log }
  const opener = createOpener(parts, address, cluster.nodeName)
  /** Whatever a lost connection left on the server is ended there: a commit that hangs holds a process for good. */
  const open = (use: 'commit' | 'read') => {
    const openNext = opener(use)
    return async () => {
      const connection = await openNext()
      connection.onGone(() => doubts.note(connection.label, []))
      return connection
    }
  }
  const commits = createPool({ ...parts, open: open('commit') }, settings.writers ?? WRITERS)
  const reads = createPool({ ...parts, open: open('read') }, READERS)
  const ledger = createLedger()
  const doubts = createDoubts(ledger, () => membership.hurry())
  const wakes: (() => void)[] = []
  const onDue = (): void => {
    for (const wake of wakes) wake()
  }
  const membership = createMembership(
    { leaseClock, clock, random, log, open: open('commit'), doubts, onDue, onChange: () => noteHealth() },
    cluster,
  )
  const requireStandby = cluster.requireSynchronousStandby
  const group = createGroupCommit({ pool: commits, clock: leaseClock, doubts, requireStandby })
  const memory = createBodyMemory(settings.memoryBudget)
  const bodies = createBodies(reads, vault)
  const uploads = new Map<string, Upload>()
  const owner = (): number => {
    if (membership.incarnation !== null) return membership.incarnation
    throw new Fault('store-unavailable', 'this gateway has no run of its own at the moment')
  }

  let stopped: Promise<void> | null = null
  const health = (): StoreHealth => {
    const reason = reasonAgainst()
    return { accepting: reason === null, reason }
  }
  const reasonAgainst = (): string | null => {
    if (stopped !== null) return 'closing'
    if (commits.isAway || reads.isAway || !membership.isLeaseValid()) return 'database-away'
    if (membership.missingStandby !== null) return 'standby-away'
    return group.waitingMs() > SLOW_MS ? 'database-away' : null
  }
  let told: string | null = null
  /** Tells the log when it changes. */
  const noteHealth = (): void => {
    const reason = reasonAgainst()
    if (reason === told || reason === 'closing') return
    told = reason
    if (reason === null) log.event('queue.accepting', {})
    else log.event('queue.not-accepting', { reason })
  }

  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      await commits.stop()
      await bodies.idle()
      await reads.stop()
      await membership.stop()
    })()
    return stopped
  }
  try {
    await Promise.all([commits.start(CONNECT_LIMIT_MS), reads.start(CONNECT_LIMIT_MS)])
    await commits.run((connection) => migrate(connection, MIGRATIONS))
  } catch (error) {
    await stop()
    throw faultOf(error)
  }
  commits.onChange(() => membership.incarnation !== null && noteHealth())

  const queue = createQueue({
    clock,
    log,
    vault,
    commits,
    reads,
    group,
    membership,
    ledger,
    doubts,
    memory,
    bodies,
    uploads,
    writerDeps: {
      pool: reads,
      memory,
      vault,
      random,
      owner,
      uploads,
      discard: (bodyId) => bodies.discard(bodyId),
    },
    health,
    wakes,
    stop,
  })
  return { queue, journal: createJournal(reads, group), accounts: createAccounts(commits, reads), stop }
}
