// The main thread's hold on the writer thread: gathers the requests of one turn of the event loop into one
// packet, hands answers back, and knows when nothing can be trusted any more.
import { Worker } from 'node:worker_threads'
import { Fault, faultText } from '../../runtime/fault.ts'
import type {
  Answer,
  Executor,
  Operation,
  Operations,
  Packet,
  Report,
  Request,
  WriterSettings,
} from './writer/protocol.ts'

/** More requests than this at once means that the disk does not follow: refuse instead of piling up. */
const REQUESTS_MAX = 50_000

export interface WriterEvents {
  readonly onFull: () => void
  /** The store can do nothing more in this process. Called once. */
  readonly onBroken: (reason: string) => void
}

interface Waiting {
  readonly resolve: (gives: unknown) => void
  readonly reject: (fault: Fault) => void
  readonly since: number
}

export interface WriterThread extends Executor {
  /** How long the oldest request has been waiting, in ms of `monotonic`; 0 when none waits. */
  waitingMs(monotonic: number): number
  /** True while the thread holds the lock on the data directory and takes requests. */
  isHeld(): boolean
  /** Finishes what was asked for, closes the databases and ends the thread. */
  stop(): Promise<void>
}

/** Starts the thread. Rejects with a `Fault` when the databases cannot be opened or are locked. */
export async function startWriterThread(
  settings: WriterSettings,
  monotonic: () => number,
  events: WriterEvents,
): Promise<WriterThread> {
  const worker = new Worker(new URL('./writer/worker.ts', import.meta.url), { workerData: settings })
  const link = new WriterLink(worker, monotonic, events)
  await link.ready
  return link
}

class WriterLink implements WriterThread {
  readonly ready: Promise<void>
  readonly #worker: Worker
  readonly #monotonic: () => number
  readonly #events: WriterEvents
  readonly #ended: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #requests: Request[] = []
  #parts: Uint8Array[] = []
  #octets = 0
  #lastId = 0
  #opened = false
  /** Why nothing more is taken, `null` while it is. */
  #closed: string | null = null

  constructor(worker: Worker, monotonic: () => number, events: WriterEvents) {
    this.#worker = worker
    this.#monotonic = monotonic
    this.#events = events
    const opened = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    this.ready = opened.promise
    this.#ended = ended.promise
    worker.on('message', (report: Report) => {
      if (report.kind === 'ready') {
        this.#opened = true
        opened.resolve()
      } else if (report.kind === 'refused') opened.reject(new Fault(report.code, report.message))
      else this.#take(report)
    })
    worker.on('error', (error) => this.#break(`the writer thread failed: ${faultText(error)}`))
    worker.on('exit', () => {
      this.#break('the writer thread ended')
      opened.reject(new Fault('store-unavailable', this.#closed ?? ''))
      this.#refuseAll()
      ended.resolve()
    })
  }

  request<K extends Operation>(
    operation: K,
    takes: Operations[K]['takes'],
    octets: readonly Uint8Array[] = [],
  ): Promise<Operations[K]['gives']> {
    if (this.#closed !== null) return Promise.reject(new Fault('store-unavailable', this.#closed))
    if (this.#waiting.size >= REQUESTS_MAX) {
      return Promise.reject(new Fault('store-unavailable', 'too many requests wait for the store'))
    }
    const id = ++this.#lastId
    const from = this.#octets
    for (const part of octets) {
      this.#parts.push(part)
      this.#octets += part.length
    }
    if (this.#requests.length === 0) setImmediate(() => this.#send())
    this.#requests.push({ id, operation, takes, from, size: this.#octets - from })
    return new Promise((resolve, reject) => {
      // The answer to a request of kind K is what K gives: the cast is the price of the thread border.
      const give = (gives: unknown): void => resolve(gives as Operations[K]['gives'])
      this.#waiting.set(id, { resolve: give, reject, since: this.#monotonic() })
    })
  }

  #send(): void {
    if (this.#requests.length === 0) return
    const octets = new ArrayBuffer(this.#octets)
    const bytes = new Uint8Array(octets)
    let position = 0
    for (const part of this.#parts) {
      bytes.set(part, position)
      position += part.length
    }
    const packet: Packet = { kind: 'requests', requests: this.#requests, octets }
    this.#requests = []
    this.#parts = []
    this.#octets = 0
    this.#worker.postMessage(packet, [octets])
  }

  #take(report: Exclude<Report, { kind: 'ready' | 'refused' }>): void {
    switch (report.kind) {
      case 'answers':
        for (const answer of report.answers) this.#settle(answer)
        return
      case 'full':
        this.#events.onFull()
        return
      case 'broken':
        this.#break(report.message)
        return
      default:
        report satisfies never
    }
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.kind === 'result') waiting?.resolve(answer.gives)
    else waiting?.reject(new Fault(answer.code, answer.message))
  }

  #break(reason: string): void {
    if (this.#closed !== null) return
    this.#closed = reason
    // Before it was open, the caller learns it from `ready`.
    if (this.#opened) this.#events.onBroken(reason)
  }

  #refuseAll(): void {
    const reason = this.#closed ?? 'the store is closed'
    for (const { reject } of this.#waiting.values()) reject(new Fault('store-unavailable', reason))
    this.#waiting.clear()
  }

  waitingMs(monotonic: number): number {
    const oldest = this.#waiting.values().next()
    return oldest.done ? 0 : monotonic - oldest.value.since
  }

  isHeld(): boolean {
    return this.#opened && this.#closed === null
  }

  async stop(): Promise<void> {
    this.#closed ??= 'the store is closed'
    this.#send()
    this.#worker.postMessage({ kind: 'close' })
    await this.#ended
  }
}
