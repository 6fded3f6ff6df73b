// This node among the others: says every few seconds that it lives, takes over what dead nodes owned, and knows
// when it must keep still itself. Works on a connection of its own, which also listens for wake-ups.
//
// No two clocks are compared. A node is dead when an observer saw its `beat` unchanged for `deadAfter`, by the
// observer's own monotonic clock and while it looked regularly; so after an outage of the database everybody has
// time to come back. The node itself counts from the moment before it sent the last beat that got through, and
// stops sending after the shorter `fenceAfter`. So it has stopped before anybody takes over.
//
//   beat ─▶ 0 rows: others took us for dead ─▶ a new run (incarnation); the claims of the old one are fenced
//     └───▶ who is silent? ─▶ end them ─▶ release what ended runs own ─▶ standby there? ─▶ doubts
//
// A row that a paused node commits after it was ended is released by the next round: `release` looks at all
// ended runs, each time. With a synchronous standby a beat waits for it too: a node that is cut off together with
// the old primary falls silent before those with the new one take over.
import type { Log } from '../../../observability/log.ts'
import { type Clock, pause } from '../../../runtime/clock.ts'
import { faultText } from '../../../runtime/fault.ts'
import type { Random } from '../../../runtime/random.ts'
import type { ClusterSettings } from '../../settings.ts'
import { integer, text } from '../session/columns.ts'
import type { Connection } from '../session/connection.ts'
import { DatabaseTrouble } from '../session/trouble.ts'
import type { Doubts } from './doubts.ts'
import * as sql from './membership-statements.ts'
import { missingStandby } from './standby.ts'

export interface MembershipDeps {
  /** For leases and pauses; `clock` is for what is stored. */
  readonly leaseClock: Clock
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly open: () => Promise<Connection>
  readonly doubts: Doubts
  /** Somebody said that work became due, or this node released some. */
  readonly onDue: () => void
  /** Whether the node may take mail may have changed. */
  readonly onChange: () => void
}

export interface Membership {
  /** Begins a run: takes over what former runs of this node left. */
  start(): Promise<{ recovered: number; orphans: number }>
  /** Id of the current run, `null` before `start` and while a new one is due. */
  readonly incarnation: number | null
  /** Nobody can have taken over what this run owns. Answers from the clocks, at once. */
  isLeaseValid(): boolean
  /** What is missing of the synchronous copy that the configuration requires; `null`: nothing. */
  readonly missingStandby: string | null
  /** Does a round now. */
  hurry(): void
  /** Ends the run: others need not wait to take over. */
  stop(): Promise<void>
}

export type MembershipSettings = Omit<ClusterSettings, 'nodeName'> & { readonly nodeName: string }

const RETRY_MS = 250
const BEAT_LIMIT_MS = 8000

interface Observed {
  readonly beat: number
  /** Monotonic ms since when it has not changed. */
  readonly since: number
}

export const createMembership = (deps: MembershipDeps, settings: MembershipSettings): Membership =>
  new Member(deps, settings)

class Member implements Membership {
  readonly #deps: MembershipDeps
  readonly #settings: MembershipSettings
  readonly #stopping = new AbortController()
  #connection: Connection | null = null
  #incarnation: number | null = null
  /** When the last beat that got through was sent, by both clocks: one stands still while a machine sleeps. */
  #beatAt = { monotonic: Number.NEGATIVE_INFINITY, wall: 0 }
  #observed = new Map<number, Observed>()
  #observedAt = Number.NEGATIVE_INFINITY
  #missingStandby: string | null
  /** A round is wanted at once; aborts the pause before it. */
  #isHurried = false
  #pausing = new AbortController()
  #run: Promise<void> | null = null

  constructor(deps: MembershipDeps, settings: MembershipSettings) {
    this.#deps = deps
    this.#settings = settings
    this.#missingStandby = settings.requireSynchronousStandby ? 'not looked at yet' : null
  }

  get incarnation(): number | null {
    return this.#incarnation
  }

  get missingStandby(): string | null {
    return this.#missingStandby
  }

  isLeaseValid(): boolean {
    const { fenceAfter } = this.#settings
    const { leaseClock } = this.#deps
    if (this.#incarnation === null) return false
    const wall = leaseClock.now() - this.#beatAt.wall
    return leaseClock.monotonic() - this.#beatAt.monotonic < fenceAfter && wall < fenceAfter
  }

  async start(): Promise<{ recovered: number; orphans: number }> {
    const connection = await this.#connect()
    const former = await connection.query(sql.END_FORMER, [this.#settings.nodeName, this.#deps.clock.now()])
    if (former.count > 0) await connection.query(sql.NOTIFY)
    await this.#begin(connection)
    const recovered = await this.#release(connection)
    const orphans = await this.#removeUploads(connection)
    await this.#lookForStandby(connection)
    this.#run = this.#rounds()
    return { recovered, orphans }
  }

  async #connect(): Promise<Connection> {
    if (this.#connection?.isOpen) return this.#connection
    const connection = await this.#deps.open()
    connection.onNotification(() => {
      // Perhaps somebody left: what was his is to be had now.
      this.hurry()
      this.#deps.onDue()
    })
    await connection.query(sql.LISTEN)
    if (this.#incarnation !== null) await connection.query(sql.HOLD, [this.#incarnation])
    // Whoever was away may need as long as we did to come back.
    this.#observed.clear()
    this.#connection = connection
    return connection
  }

  /** A new run of this node. */
  async #begin(connection: Connection): Promise<void> {
    const { leaseClock, clock } = this.#deps
    const sent = { monotonic: leaseClock.monotonic(), wall: leaseClock.now() }
    const { rows } = await connection.query(sql.BEGIN_RUN, [this.#settings.nodeName, clock.now()])
    const incarnation = integer(rows[0] ?? {}, 'id')
    await connection.query(sql.HOLD, [incarnation])
    this.#incarnation = incarnation
    this.#beatAt = sent
  }

  /** Rounds until the end. Never rejects. */
  async #rounds(): Promise<void> {
    const { leaseClock, random } = this.#deps
    const { signal } = this.#stopping
    let delayMs = this.#settings.heartbeat
    while (!signal.aborted) {
      this.#pausing = new AbortController()
      const awake = AbortSignal.any([signal, this.#pausing.signal])
      if (!this.#isHurried) await pause(leaseClock, delayMs * (0.9 + random.fraction() / 10), awake)
      this.#isHurried = false
      if (signal.aborted) return
      try {
        await this.#round(await this.#connect())
        delayMs = this.#deps.doubts.isAny
          ? Math.min(RETRY_MS, this.#settings.heartbeat)
          : this.#settings.heartbeat
      } catch (error) {
        this.#connection?.destroy(faultText(error))
        delayMs = Math.min(RETRY_MS, this.#settings.heartbeat)
      }
      this.#deps.onChange()
    }
  }

  async #round(connection: Connection): Promise<void> {
    if (this.#deps.doubts.isAny) await this.#deps.doubts.endProcesses(connection)
    await this.#beat(connection)
    await this.#endSilent(connection)
    if ((await this.#release(connection)) > 0) await connection.query(sql.NOTIFY)
    await this.#removeUploads(connection)
    await this.#lookForStandby(connection)
    if (this.#deps.doubts.isAny && this.#incarnation !== null) {
      await this.#deps.doubts.resolve(connection, this.#incarnation, this.#deps.clock.now())
    }
  }

  async #beat(connection: Connection): Promise<void> {
    const { leaseClock, log } = this.#deps
    const limitMs = Math.min(BEAT_LIMIT_MS, this.#settings.fenceAfter)
    const sent = { monotonic: leaseClock.monotonic(), wall: leaseClock.now() }
    const { count } = await connection.query(sql.BEAT, [this.#incarnation], limitMs)
    if (count > 0) {
      this.#beatAt = sent
      return
    }
    const former = this.#incarnation
    this.#incarnation = null
    log.event('cluster.lease-lost', { node: this.#settings.nodeName, incarnation: former })
    await this.#begin(connection)
  }

  async #endSilent(connection: Connection): Promise<void> {
    const { leaseClock, clock, log } = this.#deps
    const now = leaseClock.monotonic()
    // Not having looked for a while proves nothing about the others.
    if (now - this.#observedAt > this.#settings.fenceAfter) this.#observed.clear()
    const { rows } = await connection.query(sql.OTHERS, [this.#incarnation])
    this.#observedAt = now
    const alive = new Map<number, Observed>()
    for (const row of rows) {
      const [id, beat] = [integer(row, 'id'), integer(row, 'beat')]
      const before = this.#observed.get(id)
      const since = before?.beat === beat ? before.since : now
      alive.set(id, { beat, since })
      if (now - since < this.#settings.deadAfter) continue
      const ended = await connection.query(sql.END_SILENT, [id, beat, clock.now()])
      if (ended.count > 0) log.event('cluster.node-dead', { node: text(row, 'name'), incarnation: id })
    }
    this.#observed = alive
  }

  /** What ended runs own becomes due; how many deliveries. */
  async #release(connection: Connection): Promise<number> {
    let total = 0
    for (let count = sql.RELEASE_ROWS; count === sql.RELEASE_ROWS; total += count) {
      count = (await connection.query(sql.RELEASE, [this.#deps.clock.now()])).count
    }
    if (total > 0) this.#deps.onDue()
    return total
  }

  async #removeUploads(connection: Connection): Promise<number> {
    const { rows } = await connection.query(sql.REMOVE_UPLOADS)
    return integer(rows[0] ?? {}, 'uploads')
  }

  async #lookForStandby(connection: Connection): Promise<void> {
    if (this.#settings.requireSynchronousStandby) this.#missingStandby = await missingStandby(connection)
  }

  hurry(): void {
    this.#deps.leaseClock.after(
      0,
      () => {
        this.#isHurried = true
        this.#pausing.abort()
      },
      true,
    )
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#run
    const connection = this.#connection
    this.#connection = null
    const incarnation = this.#incarnation
    this.#incarnation = null
    if (connection === null) return
    try {
      if (incarnation !== null) {
        await connection.query(sql.END_RUN, [incarnation, this.#deps.clock.now()])
        await connection.query(sql.NOTIFY)
      }
    } catch (error) {
      // Others find out after `deadAfter`.
      if (!(error instanceof DatabaseTrouble)) throw error
    } finally {
      connection.destroy('stopped')
    }
  }
}
