// Whose turn it is: jobs wait in memory, first in first out per destination (recipient domain, or the route
// that an operator chose), and the destinations take turns. Each has a window of transactions at once; one whose hosts fail goes out of
// service as a whole, with growing, jittered pauses and a single probe after each (product row T7), so that
// one dead or slow destination costs nobody else anything. Pure but for clock and randomness.
//
//   in service ──hosts fail──▶ out of service ──pause over──▶ one probe ──success──▶ in service
//                                    ▲───────────trouble, longer pause──────┘
import type { Failure } from '../queue/outcome.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { createWindow, type Window } from './concurrency.ts'
import { destinationOf, type Job } from './job.ts'

export interface DestinationLimits {
  /** Deliveries waiting in memory, in all. */
  readonly waitingMax: number
  readonly sessionsMax: number
  /** First and longest pause of a destination out of service, ms. */
  readonly pauseFirst: number
  readonly pauseMax: number
}

/** `queued`; `full`: no room in memory; `paused`: out of service until `until` (epoch ms) because of `failure`. */
export type Offer =
  | { readonly kind: 'queued' | 'full' }
  | { readonly kind: 'paused'; readonly until: number; readonly failure: Failure }

/** What the end of a job means for the others. */
export interface Aftermath {
  /** Jobs that waited for a destination that has just gone (or stays) out of service. */
  readonly postponed: readonly Job[]
  readonly until: number
  /** The destination is back in service: what waits in the store for it may go now. */
  readonly recovered: boolean
}

export interface Destinations {
  offer(job: Job): Offer
  /** The next job that may start, counted as running, or `null`. */
  next(): Job | null
  /** @param trouble the failure of the hosts, `null` when they work, `undefined` when nothing was learnt */
  finished(job: Job, trouble: Failure | null | undefined): Aftermath
  /** Destinations that can take no more now: not worth claiming for. */
  skip(): Set<string>
  /** Takes out everything that waits (to release it). */
  clear(): Job[]
  /** Deliveries that wait. */
  readonly waiting: number
  /** Some destination has as many waiting as it may: the store may hold more that could go. */
  readonly isAnySaturated: boolean
  readonly outOfService: number
}

interface Outage {
  readonly failures: number
  /** Epoch ms. */
  readonly until: number
  readonly failure: Failure
}

interface Destination {
  /** Domain or route. */
  readonly name: string
  readonly window: Window
  jobs: Job[]
  outage: Outage | null
  troublesInRow: number
}

/** Idle destinations that are remembered for the size of their window, and outages at most. */
const REMEMBERED_MAX = 2000
const TROUBLES_IN_ROW_MAX = 2
const JITTER = 0.2

export function createDestinations(clock: Clock, random: Random, limits: DestinationLimits): Destinations {
  const all = new Map<string, Destination>()
  /** Those with jobs, in the order of their turns. */
  const turns = new Set<Destination>()
  let waiting = 0

  const find = (job: Job): Destination => {
    const name = destinationOf(job)
    const known = all.get(name)
    if (known !== undefined) return known
    const made: Destination = {
      name,
      window: createWindow(limits.sessionsMax),
      jobs: [],
      outage: null,
      troublesInRow: 0,
    }
    all.set(name, made)
    if (all.size > REMEMBERED_MAX) forgetOldest()
    return made
  }
  const forgetOldest = (): void => {
    for (const destination of all.values()) {
      if (destination.jobs.length > 0 || destination.window.inUse > 0) continue
      all.delete(destination.name)
      return
    }
  }
  const isPaused = ({ outage }: Destination): boolean => outage !== null && clock.now() < outage.until
  /** Half the room is for the others. */
  const isSaturated = ({ jobs }: Destination): boolean => jobs.length >= limits.waitingMax / 2
  const mayStart = (destination: Destination): boolean => {
    if (destination.outage === null) return destination.window.inUse < destination.window.limit
    // Out of service: one probe at a time, and only after the pause.
    return !isPaused(destination) && destination.window.inUse === 0
  }
  const takeAll = (destination: Destination): Job[] => {
    const { jobs } = destination
    destination.jobs = []
    turns.delete(destination)
    waiting -= jobs.reduce((sum, job) => sum + job.claims.length, 0)
    return jobs
  }
  const pause = (destination: Destination, failure: Failure): void => {
    const failures = (destination.outage?.failures ?? 0) + 1
    const grown = Math.min(limits.pauseMax, limits.pauseFirst * 2 ** Math.min(failures - 1, 30))
    const jittered = grown * (1 + JITTER * (2 * random.fraction() - 1))
    destination.outage = { failures, until: clock.now() + Math.round(jittered), failure }
  }

  return {
    offer(job) {
      const destination = find(job)
      const { outage } = destination
      if (outage !== null && isPaused(destination)) {
        return { kind: 'paused', until: outage.until, failure: outage.failure }
      }
      const hasRoom = waiting + job.claims.length <= limits.waitingMax
      if (!hasRoom || isSaturated(destination)) return { kind: 'full' }
      destination.jobs.push(job)
      waiting += job.claims.length
      turns.add(destination)
      return { kind: 'queued' }
    },
    next() {
      for (const destination of turns) {
        if (!mayStart(destination)) continue
        const job = destination.jobs.shift()
        turns.delete(destination)
        if (destination.jobs.length > 0) turns.add(destination)
        if (job === undefined) continue
        destination.window.enter()
        waiting -= job.claims.length
        return job
      }
      return null
    },
    finished(job, trouble) {
      const destination = find(job)
      const { window } = destination
      if (trouble === undefined) {
        window.leave('neutral')
        return { postponed: [], until: 0, recovered: false }
      }
      if (trouble === null) {
        window.leave('success')
        const recovered = destination.outage !== null
        destination.outage = null
        destination.troublesInRow = 0
        return { postponed: [], until: 0, recovered }
      }
      window.leave('trouble')
      destination.troublesInRow++
      const isOut = window.inUse === 0 || destination.troublesInRow >= TROUBLES_IN_ROW_MAX
      if (!isOut) return { postponed: [], until: 0, recovered: false }
      // Others of the same burst that fail a moment later do not make the pause longer.
      if (!isPaused(destination)) pause(destination, trouble)
      const until = destination.outage?.until ?? clock.now()
      return { postponed: takeAll(destination), until, recovered: false }
    },
    skip() {
      const names = new Set<string>()
      for (const destination of all.values()) {
        const isProbing =
          destination.outage !== null && destination.jobs.length + destination.window.inUse > 0
        if (isSaturated(destination) || isProbing || isPaused(destination)) names.add(destination.name)
      }
      return names
    },
    clear: () => [...turns].flatMap(takeAll),
    get waiting() {
      return waiting
    },
    get isAnySaturated() {
      for (const destination of turns) if (isSaturated(destination)) return true
      return false
    },
    get outOfService() {
      let outages = 0
      for (const destination of all.values()) if (destination.outage !== null) outages++
      return outages
    },
  }
}
