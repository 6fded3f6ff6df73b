// Opens the two databases with the pragmas that the promise of durability rests on (store.md), and takes the
// lock that keeps a second gateway away from the same directory. Runs in the writer thread, and in the
// process of the command line: file access here is synchronous on purpose.
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Fault } from '../../../runtime/fault.ts'
import { configPath, lockPath, queuePath } from '../layout.ts'
import { sqliteTrouble } from './fault.ts'
import { migrate } from './migrate.ts'

export interface Databases {
  readonly config: DatabaseSync
  readonly queue: DatabaseSync
  close(): void
}

/** The WAL-reset bug (3.7.0 to 3.51.2) can lose commits when two processes have a file open. */
const VERSION_MIN = [3, 51, 3] as const
const BUSY_TIMEOUT_MS = 5000
const PAGE_OCTETS = 16_384
const CHECKPOINT_PAGES = 2000
/** The WAL file is cut back to this after a checkpoint. */
const WAL_OCTETS_MAX = 64 * 1024 * 1024

/** True when `text` (`3.53.4`) is new enough to be trusted with two processes. */
export function isTrustedVersion(text: string): boolean {
  const found = text.split('.').map(Number)
  for (const [index, least] of VERSION_MIN.entries()) {
    const part = found[index] ?? 0
    if (part !== least) return part > least
  }
  return true
}

/** Creates the file for the owner alone; SQLite gives its WAL the same mode. Never opens an existing file:
 * closing it again would drop the locks that SQLite holds on it in this process. */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function openDatabase(path: string, cacheOctets: number, migrations: URL): DatabaseSync {
  createPrivate(path)
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
  database.exec(`
    PRAGMA page_size = ${PAGE_OCTETS};
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    PRAGMA journal_size_limit = ${WAL_OCTETS_MAX};
    PRAGMA cache_size = ${-Math.floor(cacheOctets / 1024)};
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = ON;
  `)
  const version = String(database.prepare('SELECT sqlite_version() AS version').get()?.['version'])
  if (!isTrustedVersion(version)) {
    throw new Fault('store-unavailable', `SQLite ${version} is too old, ${VERSION_MIN.join('.')} is needed`)
  }
  migrate(database, migrations)
  return database
}

function syncDirectory(path: string): void {
  const handle = openSync(path, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

/** Opens (and creates) `config.db` and `queue.db`. Throws a `Fault` when they cannot be used. */
export function openDatabases(dataDirectory: string, cacheOctets: number): Databases {
  const opened: DatabaseSync[] = []
  const open = (path: string, octets: number, folder: string): DatabaseSync => {
    const migrations = new URL(`../../migrations/sqlite/${folder}/`, import.meta.url)
    const database = openDatabase(path, octets, migrations)
    opened.push(database)
    return database
  }
  const close = (): void => {
    for (const database of opened) database.close()
  }
  try {
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
    const config = open(configPath(dataDirectory), 4 * 1024 * 1024, 'config')
    const queue = open(queuePath(dataDirectory), cacheOctets, 'queue')
    syncDirectory(dataDirectory)
    return { config, queue, close }
  } catch (error) {
    close()
    if (error instanceof Fault) throw error
    throw new Fault(
      'store-unavailable',
      `the store in ${dataDirectory} cannot be opened: ${sqliteTrouble(error).text}`,
      {
        cause: error,
      },
    )
  }
}

/**
 * Takes the directory for one gateway. The lock is a file lock held by an open transaction, so that it ends
 * with the process however that ends. Returns what gives it back.
 */
export function lockDirectory(dataDirectory: string): () => void {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
  createPrivate(lockPath(dataDirectory))
  const lock = new DatabaseSync(lockPath(dataDirectory), { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw new Fault('store-unavailable', `another gateway is running in ${dataDirectory}`, { cause: error })
  }
  return () => lock.close()
}
