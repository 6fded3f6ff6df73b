// Turns what piled up while the last commits ran into one transaction for each idle connection, and keeps one
// bad request from sinking its neighbours. A lone request waits for nobody; a crowd shares a round trip and a
// wait for the standby.
//
// - A request's own fault (a constraint): nothing was stored, each is run again by itself.
// - Two transactions met: the same batch again, a few times.
// - The connection is lost: unknown. All are refused, and the doubt is noted: what was stored is deleted again.
// - No connection at all: refused at once.

import type { SettleResult } from '../../../queue/store.ts'
import { type Clock, pause } from '../../../runtime/clock.ts'
import { Fault } from '../../../runtime/fault.ts'
import type { Doubts } from '../cluster/doubts.ts'
import type { Connection } from '../session/connection.ts'
import type { Pool } from '../session/pool.ts'
import { type DatabaseTrouble, faultOf, troubleOf } from '../session/trouble.ts'
import { batchOf, type Job, octetsOf, refusedBy } from './jobs.ts'

export interface GroupCommitDeps {
  readonly pool: Pool
  readonly clock: Clock
  readonly doubts: Pick<Doubts, 'note'>
  readonly requireStandby: boolean
}

export interface GroupCommit {
  /** Durable when it resolves. The results are those of a settle job, else empty. Rejects with a `Fault`. */
  run(job: Job): Promise<SettleResult[]>
  /** How long the oldest request has been waiting, in ms. */
  waitingMs(): number
}

const JOBS_MAX = 256
const OCTETS_MAX = 8 * 1024 * 1024
/** More than this means that the database does not follow: refuse instead of piling up. */
const WAITING_MAX = 20_000
const WAITING_OCTETS_MAX = 128 * 1024 * 1024
const TRIES_MAX = 5
const AGAIN_MS = 20

interface Waiting {
  readonly job: Job
  readonly octets: number
  readonly since: number
  readonly resolve: (results: SettleResult[]) => void
  readonly reject: (fault: Fault) => void
}

export function createGroupCommit(deps: GroupCommitDeps): GroupCommit {
  const { pool, clock, doubts, requireStandby } = deps
  let waiting: Waiting[] = []
  const underWay = new Set<Waiting>()
  let octetsWaiting = 0
  let planned = false

  const nextBatch = (): Waiting[] => {
    let count = 0
    for (let octets = 0; count < waiting.length && count < JOBS_MAX && octets < OCTETS_MAX; count++) {
      octets += waiting[count]?.octets ?? 0
    }
    const batch = waiting.slice(0, count)
    waiting = waiting.slice(count)
    for (const one of batch) underWay.add(one)
    return batch
  }
  const finish = (one: Waiting): void => {
    underWay.delete(one)
    octetsWaiting -= one.octets
  }

  /** One transaction, repeated while it only met another one. */
  const commit = async (connection: Connection, batch: readonly Waiting[]): Promise<void> => {
    const jobs = batch.map(({ job }) => job)
    for (let tries = 1; ; tries++) {
      try {
        const { steps, resultsOf } = batchOf(jobs, requireStandby)
        const results = steps.length === 0 ? [] : await connection.transaction(steps)
        for (const one of batch) {
          finish(one)
          one.resolve(one.job.kind === 'settle' ? resultsOf(one.job, results) : [])
        }
        return
      } catch (error) {
        const trouble = troubleOf(error)
        if (trouble.kind !== 'again' || tries >= TRIES_MAX) throw trouble
        await pause(clock, AGAIN_MS * tries)
      }
    }
  }
  const refuse = (batch: readonly Waiting[], trouble: DatabaseTrouble): void => {
    for (const one of batch) {
      finish(one)
      one.reject(faultOf(trouble))
    }
  }
  const commitOrRefuse = async (connection: Connection, batch: readonly Waiting[]): Promise<void> => {
    try {
      await commit(connection, batch)
    } catch (error) {
      const trouble = troubleOf(error)
      if (trouble.kind === 'request' && batch.length > 1) {
        for (const one of batch) await commitOrRefuse(connection, [one])
        return
      }
      if (trouble.kind === 'away')
        doubts.note(
          connection.label,
          batch.flatMap(({ job }) => refusedBy(job)),
        )
      refuse(batch, trouble)
    }
  }
  const runBatch = async (connection: Connection, batch: readonly Waiting[]): Promise<void> => {
    await commitOrRefuse(connection, batch)
    pool.give(connection)
  }

  const pump = (): void => {
    planned = false
    while (waiting.length > 0) {
      const connection = pool.take()
      if (connection === null) break
      void runBatch(connection, nextBatch())
    }
    if (waiting.length > 0 && pool.isAway) {
      const refused = waiting
      waiting = []
      for (const one of refused) {
        finish(one)
        one.reject(new Fault('store-unavailable', 'the database is away'))
      }
    }
  }
  /** At the end of this turn of the event loop: what it brought goes together. */
  const plan = (): void => {
    if (planned) return
    planned = true
    setImmediate(pump)
  }
  pool.onChange(plan)

  return {
    run(job) {
      if (pool.isAway) return Promise.reject(new Fault('store-unavailable', 'the database is away'))
      const octets = octetsOf(job)
      if (waiting.length >= WAITING_MAX || octetsWaiting + octets > WAITING_OCTETS_MAX) {
        return Promise.reject(new Fault('store-unavailable', 'too many requests wait for the database'))
      }
      octetsWaiting += octets
      return new Promise((resolve, reject) => {
        waiting.push({ job, octets, since: clock.monotonic(), resolve, reject })
        plan()
      })
    },
    waitingMs() {
      const [first] = [...underWay, ...waiting.slice(0, 1)]
      return first === undefined ? 0 : clock.monotonic() - first.since
    },
  }
}
