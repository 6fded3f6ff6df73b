// A few connections that are kept open, re-opened with growing pauses, and lent out one user at a time. While
// none is open everything is refused at once: what waits for a database that is away only piles up.
import type { Log } from '../../../observability/log.ts'
import { type Clock, pause } from '../../../runtime/clock.ts'
import { withDeadline } from '../../../runtime/deadline.ts'
import { faultText } from '../../../runtime/fault.ts'
import type { Random } from '../../../runtime/random.ts'
import type { Connection } from './connection.ts'
import { DatabaseTrouble } from './trouble.ts'

export interface PoolDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Opens one more connection; rejects with `DatabaseTrouble`. */
  readonly open: () => Promise<Connection>
}

export interface Pool {
  /** Opens the first connections. Rejects when none can be had within `limitMs`; until then it goes on trying. */
  start(limitMs: number): Promise<void>
  /** No connection is open. */
  readonly isAway: boolean
  /** An idle connection for the caller alone, or `null`. To be given back. */
  take(): Connection | null
  give(connection: Connection): void
  /** Lends a connection to `work`; waits for one, not for long. */
  run<T>(work: (connection: Connection) => Promise<T>): Promise<T>
  /** Called when a connection became idle, or the last one is gone. */
  onChange(listener: () => void): void
  /** Waits for what is lent, at most a few seconds, and closes everything. */
  stop(): Promise<void>
}

const RETRY_FIRST_MS = 200
const RETRY_MAX_MS = 5000
const WAITING_MAX = 10_000
const WAIT_LIMIT_MS = 20_000
const STOP_LIMIT_MS = 5000

export const createPool = (deps: PoolDeps, size: number): Pool => new ConnectionPool(deps, size)

interface Waiting {
  readonly resolve: (connection: Connection) => void
  readonly reject: (trouble: DatabaseTrouble) => void
}

class ConnectionPool implements Pool {
  readonly #deps: PoolDeps
  readonly #size: number
  readonly #open = new Set<Connection>()
  readonly #idle: Connection[] = []
  readonly #listeners: (() => void)[] = []
  readonly #stopping = new AbortController()
  #waiting: Waiting[] = []
  #onReturned: (() => void) | null = null
  /** Why there is none. */
  #reason = 'not connected yet'
  #runs: Promise<void>[] = []

  constructor(deps: PoolDeps, size: number) {
    this.#deps = deps
    this.#size = size
  }

  async start(limitMs: number): Promise<void> {
    const first = Promise.withResolvers<void>()
    this.#runs = Array.from({ length: this.#size }, () => this.#keepOne(first.resolve))
    try {
      await withDeadline(this.#deps.clock, limitMs, 'connecting to the database', first.promise)
    } catch {
      throw new DatabaseTrouble('away', this.#reason)
    }
  }

  /** Keeps one connection open until the end. Never rejects. */
  async #keepOne(onOpen: () => void): Promise<void> {
    const { clock, random, log, open } = this.#deps
    const { signal } = this.#stopping
    for (let delayMs = RETRY_FIRST_MS; !signal.aborted; ) {
      try {
        const connection = await open()
        if (signal.aborted) {
          connection.destroy('stopped')
          return
        }
        delayMs = RETRY_FIRST_MS
        const gone = Promise.withResolvers<string>()
        connection.onGone(gone.resolve)
        this.#open.add(connection)
        onOpen()
        this.#return(connection)
        const reason = await gone.promise
        this.#forget(connection, reason)
        if (!signal.aborted) log.event('store.connection-lost', { place: connection.place, reason })
      } catch (error) {
        this.#reason = faultText(error)
        await pause(clock, delayMs * (0.75 + random.fraction() / 2), signal)
        delayMs = Math.min(RETRY_MAX_MS, delayMs * 2)
      }
    }
  }

  get isAway(): boolean {
    return this.#open.size === 0
  }

  take(): Connection | null {
    return this.#stopping.signal.aborted ? null : (this.#idle.pop() ?? null)
  }

  give(connection: Connection): void {
    if (connection.isOpen) this.#return(connection)
    this.#noteReturned()
  }

  #return(connection: Connection): void {
    const next = this.#waiting.shift()
    if (next !== undefined) {
      next.resolve(connection)
      return
    }
    this.#idle.push(connection)
    this.#noteReturned()
    this.#notify()
  }

  #forget(connection: Connection, reason: string): void {
    this.#open.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#reason = reason
    this.#noteReturned()
    if (!this.isAway) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) one.reject(this.#away())
    this.#notify()
  }

  #away(): DatabaseTrouble {
    return new DatabaseTrouble('away', `the database is away: ${this.#reason}`)
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }

  #noteReturned(): void {
    if (this.#idle.length === this.#open.size) this.#onReturned?.()
  }

  async run<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = this.take() ?? (await this.#wait())
    try {
      return await work(connection)
    } finally {
      this.give(connection)
    }
  }

  async #wait(): Promise<Connection> {
    if (this.isAway || this.#stopping.signal.aborted) throw this.#away()
    if (this.#waiting.length >= WAITING_MAX)
      throw new DatabaseTrouble('busy', 'too many wait for the database')
    const { promise, resolve, reject } = Promise.withResolvers<Connection>()
    const waiting: Waiting = { resolve, reject }
    this.#waiting.push(waiting)
    return withDeadline(this.#deps.clock, WAIT_LIMIT_MS, 'waiting for the database', promise, () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting)
    })
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    this.#reason = 'the store is closed'
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) one.reject(this.#away())
    if (this.#idle.length < this.#open.size) {
      const late = new AbortController()
      const returned = new Promise<void>((resolve) => {
        this.#onReturned = resolve
      })
      await Promise.race([returned, pause(this.#deps.clock, STOP_LIMIT_MS, late.signal)])
      late.abort()
    }
    for (const connection of [...this.#open]) connection.destroy('stopped')
    await Promise.all(this.#runs)
  }
}
