// Watches the free space of the data directory, so that mail is refused before the disk is full and never
// acknowledged in vain. Looks every few seconds in the background, never per message. Keeps the ballast: a
// file of real blocks that the writer thread unlinks when SQLite meets a full disk, because SQLite needs
// space even to delete (store.md). Writing it anew is the proof that there is space again.
import { mkdir, open, rm, stat, statfs } from 'node:fs/promises'
import type { Log } from '../../observability/log.ts'
import type { StoreHealth } from '../../queue/store.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { faultText } from '../../runtime/fault.ts'
import type { Random } from '../../runtime/random.ts'
import { ballastPath, probePath, spoolPath } from './layout.ts'

const CHECK_EVERY_MS = 3000
/** A request that waits longer than this means that the disk hangs: promise nothing more for now. */
const STALLED_MS = 20_000
const BALLAST_CHUNK = 1024 * 1024

export interface DiskGuardSettings {
  readonly dataDirectory: string
  /** Octets. Below this much free space no new mail is taken. 0 switches the check off. */
  readonly diskReserve: number
  /** Octets. 0 switches the ballast off. */
  readonly ballast: number
}

export interface DiskGuardDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** How long the oldest request to the writer thread has been waiting. */
  readonly waitingMs: () => number
  /** Gives back disk space that the databases hold and do not need. Rejects when that does not work either. */
  readonly makeRoom: () => Promise<void>
  /** Tells the writer thread that there is space again. */
  readonly onRecovered: () => void
}

export interface DiskGuard {
  /** Looks for the first time; health is known when this resolves. The ballast follows in the background. */
  start(): Promise<void>
  health(): StoreHealth
  /** SQLite or a body file met a full disk. */
  noteFull(): void
  /** A body file could not be made although there is space: too many open files, or a read-only file system. */
  noteUnwritable(): void
  /** Nothing can be trusted until a restart. */
  noteBroken(): void
  stop(): Promise<void>
}

export function createDiskGuard(deps: DiskGuardDeps, settings: DiskGuardSettings): DiskGuard {
  const { clock, log } = deps
  let reason: string | null = 'starting'
  let full = false
  /** How often the disk was full: what happens during a look is for the next look to clear. */
  let timesFull = 0
  let broken = false
  let unwritable = false
  let timer: Timer | null = null
  let looking: Promise<void> | null = null
  let closing = false

  const decide = (low: boolean): void => {
    const stalled = deps.waitingMs() > STALLED_MS
    const trouble = full ? 'disk-full' : low ? 'disk-low' : unwritable ? 'spool-unwritable' : null
    const next = broken || stalled ? 'database-away' : trouble
    if (next === reason) return
    if (next !== null) log.event('queue.not-accepting', { reason: next })
    else if (reason !== 'starting') log.event('queue.accepting', {})
    reason = next
  }

  const look = async (): Promise<void> => {
    const timesFullBefore = timesFull
    if (unwritable) unwritable = !(await isWritable(settings.dataDirectory))
    decide((await freeOctets(settings.dataDirectory)) < settings.diskReserve)
    if (full && !broken) await deps.makeRoom().catch(() => {}) // no room to make any: next time
    const free = await freeOctets(settings.dataDirectory)
    const low = free < settings.diskReserve
    const roomy = !low && (await keepBallast(settings, free, deps.random))
    if (roomy && full && timesFull === timesFullBefore) {
      full = false
      deps.onRecovered()
    }
    decide(low)
  }

  /** Never rejects: a look that fails says so in the log and counts as a disk that cannot be trusted. */
  const lookAgain = (): Promise<void> => {
    looking ??= look()
      .catch((error) => {
        log.event('relay.fault', { where: 'disk-guard', code: 'store-unavailable', reason: faultText(error) })
        decide(true)
      })
      .finally(() => {
        looking = null
        if (!closing) timer = clock.after(CHECK_EVERY_MS, () => void lookAgain(), true)
      })
    return looking
  }

  return {
    async start() {
      const free = await freeOctets(settings.dataDirectory)
      decide(free < settings.diskReserve)
      void lookAgain()
    },
    health: () =>
      closing ? { accepting: false, reason: 'closing' } : { accepting: reason === null, reason },
    noteFull() {
      full = true
      timesFull++
      decide(false)
    },
    noteUnwritable() {
      unwritable = true
      decide(false)
    },
    noteBroken() {
      broken = true
      decide(false)
    },
    async stop() {
      closing = true
      timer?.cancel()
      await looking
    },
  }
}

/** Can a file be made where bodies lie? Any trouble means no; what it is was said when a body met it. */
async function isWritable(dataDirectory: string): Promise<boolean> {
  try {
    await mkdir(spoolPath(dataDirectory), { recursive: true, mode: 0o700 })
    const handle = await open(probePath(dataDirectory), 'w', 0o600)
    await handle.close()
    await rm(probePath(dataDirectory))
    return true
  } catch {
    return false
  }
}

async function freeOctets(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

/** Makes sure that the ballast is there in full; `false` when there is no space for it above the reserve. */
async function keepBallast(settings: DiskGuardSettings, free: number, random: Random): Promise<boolean> {
  const { dataDirectory, ballast, diskReserve } = settings
  const path = ballastPath(dataDirectory)
  if (ballast === 0) return true
  const found = await stat(path).catch(() => null)
  if (found !== null && found.size === ballast) return true
  if (free < diskReserve + ballast) return false
  try {
    await writeBallast(path, ballast, random)
    return true
  } catch (error) {
    await rm(path, { force: true })
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false
    throw error
  }
}

/** Random octets, so that no file system saves their blocks. */
async function writeBallast(path: string, octets: number, random: Random): Promise<void> {
  const chunk = random.bytes(Math.min(BALLAST_CHUNK, octets))
  const handle = await open(path, 'w', 0o600)
  try {
    for (let left = octets; left > 0; ) {
      const { bytesWritten } = await handle.write(chunk, 0, Math.min(chunk.length, left))
      left -= bytesWritten
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}
