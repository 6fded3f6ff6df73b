// Turns what piled up into one transaction, and keeps one bad request or a full disk from sinking the rest.
//
// - All writes of a batch: BEGIN, run, COMMIT, and only then answers.
// - Any failure rolls everything back; when it was one request's own fault, each is run again by itself.
// - Disk full: mail that wants in is refused, ballast is dropped, and what drains the queue runs again.
// - I/O errors and damage: everything is refused from then on; the gateway restarts and recovers.
import { type FaultCode, faultText } from '../../../runtime/fault.ts'
import { sqliteTrouble, type Trouble, type TroubleKind } from './fault.ts'
import { type Handlers, ROUTES } from './handlers.ts'
import type { Answer, Operation, Operations, Request } from './protocol.ts'

const FAULT_CODES: Readonly<Record<TroubleKind, FaultCode>> = {
  request: 'internal',
  busy: 'store-unavailable',
  full: 'store-full',
  broken: 'store-unavailable',
}

/** A request with its octets. */
export interface Job {
  readonly request: Request
  readonly octets: Uint8Array
}

export interface GroupCommitDeps {
  /** queue.db, for transactions only. */
  readonly queue: { exec(sql: string): void }
  readonly handlers: Handlers
  /** Frees the ballast; `false` when there was none. */
  readonly dropBallast: () => boolean
  readonly onFull: () => void
  readonly onBroken: (message: string) => void
}

export interface GroupCommit {
  /** Runs the batch and hands over answers as soon as they are true, writes before reads. */
  run(batch: readonly Job[], answer: (answers: readonly Answer[]) => void): void
  /** There is space again. */
  recovered(): void
}

export function createGroupCommit(deps: GroupCommitDeps): GroupCommit {
  let full = false
  let broken: string | null = null

  const invoke = <K extends Operation>(operation: K, takes: unknown, octets: Uint8Array): unknown =>
    // The other thread's typed `request` made this pair; the cast is the price of the thread border.
    deps.handlers[operation](takes as Operations[K]['takes'], octets)

  const runOne = ({ request, octets }: Job): Answer => ({
    id: request.id,
    kind: 'result',
    gives: invoke(request.operation, request.takes, octets),
  })

  const refuse = ({ request }: Job, trouble: Trouble): Answer => {
    return { id: request.id, kind: 'fault', code: FAULT_CODES[trouble.kind], message: trouble.text }
  }

  /** Notes what a failure means for everybody. */
  const noticed = (error: unknown): Trouble => {
    const trouble = sqliteTrouble(error)
    if (trouble.kind === 'full' && !full) {
      full = true
      deps.onFull()
    }
    if (trouble.kind === 'broken') breakDown(trouble.text)
    return trouble
  }

  const breakDown = (text: string): void => {
    if (broken !== null) return
    broken = text
    deps.onBroken(text)
  }

  const inTransaction = <T>(work: () => T): T => {
    deps.queue.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      deps.queue.exec('COMMIT')
      return result
    } catch (error) {
      rollBack()
      throw error
    }
  }

  const rollBack = (): void => {
    try {
      deps.queue.exec('ROLLBACK')
    } catch (error) {
      // On a full disk or an I/O error SQLite has rolled back by itself; anything else is beyond repair.
      const text = faultText(error)
      if (!text.includes('no transaction is active')) breakDown(text)
    }
  }

  const attemptAlone = (job: Job): Answer => {
    if (broken !== null) return refuse(job, { kind: 'broken', text: broken })
    if (full && wantsIn(job)) return refuse(job, { kind: 'full', text: 'the disk is full' })
    try {
      return inTransaction(() => runOne(job))
    } catch (error) {
      const trouble = noticed(error)
      if (trouble.kind !== 'full' || wantsIn(job) || !deps.dropBallast()) return refuse(job, trouble)
    }
    try {
      return inTransaction(() => runOne(job))
    } catch (error) {
      return refuse(job, noticed(error))
    }
  }

  const runWrites = (batch: readonly Job[]): Answer[] => {
    if (batch.length === 0) return []
    if (broken === null && !full) {
      try {
        return inTransaction(() => batch.map(runOne))
      } catch (error) {
        const trouble = noticed(error)
        if (trouble.kind === 'busy') return batch.map((job) => refuse(job, trouble))
      }
    }
    return batch.map(attemptAlone)
  }

  const runRead = (job: Job): Answer => {
    try {
      return runOne(job)
    } catch (error) {
      return refuse(job, noticed(error))
    }
  }

  return {
    run(batch, answer) {
      answer(runWrites(batch.filter(isWrite)))
      for (const job of batch) if (!isWrite(job)) answer([runRead(job)])
    },
    recovered() {
      full = false
    },
  }
}

const isWrite = (job: Job): boolean => ROUTES[job.request.operation] === 'write'
/** New mail, which a full disk must keep out; everything else helps the queue to drain. */
const wantsIn = (job: Job): boolean => job.request.operation === 'enqueue'
