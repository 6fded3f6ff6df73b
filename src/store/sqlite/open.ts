// Puts the embedded store together: writer thread, spool, memory, disk guard, and the three ports on top.
// Only relay.ts calls this; the command line has its own door in admin.ts.
import type { AccountStore } from '../../accounts/store.ts'
import type { JournalStore } from '../../journal/store.ts'
import type { Log } from '../../observability/log.ts'
import type { QueueSettings } from '../../queue/settings.ts'
import type { MasterKeyControl, QueueStore } from '../../queue/store.ts'
import type { MessageKey, Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault, faultText } from '../../runtime/fault.ts'
import type { Random } from '../../runtime/random.ts'
import { createBodyMemory } from '../body-memory.ts'
import { createAccounts } from './accounts.ts'
import { createDiskGuard } from './disk-guard.ts'
import { createJournal } from './journal.ts'
import { createQueue } from './queue.ts'
import { createSpool } from './spool.ts'
import { startWriterThread } from './thread.ts'

export interface SqliteStoreDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Encryption at rest; `clearVault` for none. */
  readonly vault: Vault
  /** An I/O error: nothing can be trusted until a restart, which recovers. Called at most once. */
  readonly onFatal?: (fault: Fault) => void
}

export interface SqliteStoreSettings extends QueueSettings {
  readonly dataDirectory: string
  /** Page cache of queue.db in octets. Default 64 MB. */
  readonly cacheOctets?: number
}

export interface SqliteStore {
  /** `queue.start()` begins a new incarnation; journal and accounts work without it. */
  readonly queue: QueueStore & MasterKeyControl
  readonly journal: JournalStore
  readonly accounts: AccountStore
  /** The same as `queue.stop()`; a second call waits for the first. */
  stop(): Promise<void>
}

const CACHE_OCTETS = 64 * 1024 * 1024
/** 16 MB each time that the guard looks at a full disk. */
const MAKE_ROOM_PAGES = 1000

/**
 * Opens, creates and migrates the databases and locks the directory. Rejects with a `Fault` when another
 * gateway runs there, SQLite is too old, or the files cannot be used.
 */
export async function openSqliteStore(
  deps: SqliteStoreDeps,
  settings: SqliteStoreSettings,
): Promise<SqliteStore> {
  const { clock, log } = deps
  const { dataDirectory, cacheOctets = CACHE_OCTETS } = settings
  let failed = false
  const fail = (reason: string): void => {
    guard.noteBroken()
    if (failed) return
    failed = true
    deps.onFatal?.(new Fault('store-unavailable', reason))
  }

  const thread = await startWriterThread({ dataDirectory, cacheOctets }, () => clock.monotonic(), {
    onFull: () => guard.noteFull(),
    onBroken: fail,
  })
  const guard = createDiskGuard(
    {
      clock,
      random: deps.random,
      log,
      waitingMs: () => thread.waitingMs(clock.monotonic()),
      makeRoom: async () => {
        await thread.request('makeRoom', { pages: MAKE_ROOM_PAGES })
      },
      onRecovered: () => {
        thread.request('recovered', null).catch(() => {}) // a thread that is gone has said so already
      },
    },
    settings,
  )
  const fileFault = (error: unknown): Fault => {
    if (error instanceof Fault && error.code !== 'store-full') return error
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'store-full') {
      guard.noteFull()
      return new Fault('store-full', 'a body could not be written: no space', { cause: error })
    }
    if (code === 'EIO') fail(`a body could not be written: ${faultText(error)}`)
    else guard.noteUnwritable()
    return new Fault('store-unavailable', `a body could not be written: ${code}`, { cause: error })
  }

  const open = new Map<string, MessageKey>()
  const memory = createBodyMemory(settings.memoryBudget)
  const spool = createSpool({ dataDirectory, executor: thread, open })
  let stopped: Promise<void> | null = null
  const stop = (): Promise<void> => {
    stopped ??= guard.stop().then(() => thread.stop())
    return stopped
  }
  const queue = createQueue({
    dataDirectory,
    clock,
    log,
    vault: deps.vault,
    executor: thread,
    spool,
    memory,
    guard,
    open,
    fileFault,
    mayStillSend: () => thread.isHeld(),
    stop,
  })
  return { queue, journal: createJournal(thread), accounts: createAccounts(thread), stop }
}
