// One message on its way through clamd (M1): holds back, sends, waits, gives exactly one verdict.
//
// A small message is held here and sent in one go when it is complete, so that a slow sender keeps nobody
// waiting. A larger one is streamed as it comes, 64 KB at a time: clamd gathers a stream without spending a
// thread on it. Only the end mark starts the scan itself, so only it needs one of the few verdict places.
//
//   holding      write: kept, until 64 KB are there; then a stream place is asked for
//   streaming    write: sent; where that cannot be, the caller gets a promise (back-pressure)
//   finishing    a verdict place is asked for, then everything left and the end mark are sent
//   ended        verdict given; connection closed, places given back, later octets ignored
//
// Every wait for room or verdict ends after `verdictTimeoutMs`. No failure is ever a clean verdict.
import type { Log } from '../observability/log.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Semaphore } from '../runtime/limit.ts'
import { parseReply, quoteReply } from './clamd-reply.ts'
import type { Instream, InstreamEvents } from './instream.ts'
import type { Scan, Verdict } from './scanner.ts'

/** Octets that are held before they are sent, and the size up to which a message is sent in one go. */
export const HELD_OCTETS_MAX = 64 * 1024

export interface ClamdScanDeps {
  readonly clock: Clock
  readonly log: Log
  /** Begins a connection; see `openInstream`. */
  readonly open: (events: Omit<InstreamEvents, 'passedOver'>) => Instream
  /** One place for each scan that clamd works on. */
  readonly verdictPlaces: Semaphore
  /** One place for each larger message that is being received. */
  readonly streamPlaces: Semaphore
  readonly verdictTimeoutMs: number
  /** Called once, when this scan has ended. */
  readonly onEnd: (scan: ClamdScan) => void
}

export class ClamdScan implements Scan {
  readonly #deps: ClamdScanDeps
  readonly #result = Promise.withResolvers<Verdict>()
  #held: Uint8Array[] = []
  #heldOctets = 0
  #instream: Instream | null = null
  #isConnected = false
  #isFull = false
  #isStreaming = false
  #isFinishing = false
  #mayScan = false
  #isComplete = false
  #hasEnded = false
  #room: { readonly promise: Promise<void>; readonly resolve: () => void; readonly timer: Timer } | null =
    null
  #deadline: Timer | null = null
  readonly #places: (() => void)[] = []

  constructor(deps: ClamdScanDeps) {
    this.#deps = deps
  }

  write(chunk: Uint8Array): Promise<void> | null {
    if (this.#hasEnded || this.#isFinishing || chunk.length === 0) return null
    this.#held.push(chunk)
    this.#heldOctets += chunk.length
    if (this.#heldOctets < HELD_OCTETS_MAX) return null
    if (!this.#isStreaming) this.#stream()
    this.#send()
    return this.#heldOctets < HELD_OCTETS_MAX ? null : this.#waitForRoom()
  }

  finish(): Promise<Verdict> {
    if (this.#hasEnded || this.#isFinishing) return this.#result.promise
    this.#isFinishing = true
    const { clock, verdictPlaces, verdictTimeoutMs } = this.#deps
    this.#deadline = clock.after(verdictTimeoutMs, () =>
      this.fail(`no verdict within ${verdictTimeoutMs} ms`),
    )
    void verdictPlaces.acquire().then((release) => {
      if (!release) return this.fail('too many messages wait for the scanner')
      if (this.#hasEnded) return release()
      this.#places.push(release)
      this.#mayScan = true
      // Does not wait for a stream place: those who have one may be waiting for this verdict place.
      this.#connect()
      this.#send()
    })
    return this.#result.promise
  }

  abort(): void {
    this.#end({ kind: 'unavailable', reason: 'aborted' })
  }

  /** Ends the scan without a verdict, for a reason that operators should see. */
  fail(reason: string): void {
    if (this.#hasEnded) return
    this.#deps.log.event('scanner.unavailable', { target: this.#instream?.target ?? null, reason })
    this.#end({ kind: 'unavailable', reason })
  }

  #stream(): void {
    this.#isStreaming = true
    void this.#deps.streamPlaces.acquire().then((release) => {
      if (!release) return this.fail('too many messages are streamed to the scanner')
      if (this.#hasEnded || this.#instream) return release()
      this.#places.push(release)
      this.#connect()
    })
  }

  #connect(): void {
    if (this.#instream) return
    this.#instream = this.#deps.open({
      connected: () => {
        this.#isConnected = true
        this.#send()
      },
      drained: () => {
        this.#isFull = false
        this.#send()
      },
      replied: (reply, afterEnd) => this.#judge(reply, afterEnd),
      failed: (reason) => this.fail(reason),
    })
  }

  /** Sends what is held when it is due and the connection takes it. */
  #send(): void {
    if (!this.#instream || !this.#isConnected || this.#isFull || this.#isComplete) return
    const isLast = this.#isFinishing && this.#mayScan
    if (!isLast && this.#heldOctets < HELD_OCTETS_MAX) return
    const held = this.#held
    const octets = this.#heldOctets
    this.#held = []
    this.#heldOctets = 0
    this.#isComplete = isLast
    this.#isFull = !this.#instream.send(held, octets, isLast)
    this.#giveRoom()
  }

  #judge(reply: string, afterEnd: boolean): void {
    if (!afterEnd) return this.fail(`clamd answered ${quoteReply(reply)} before the message had ended`)
    const verdict = parseReply(reply)
    if (verdict.kind === 'unavailable') this.fail(verdict.reason)
    else this.#end(verdict)
  }

  #waitForRoom(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve()
    if (!this.#room) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const { clock, verdictTimeoutMs } = this.#deps
      const timer = clock.after(verdictTimeoutMs, () =>
        this.fail(`the scanner took no octets for ${verdictTimeoutMs} ms`),
      )
      this.#room = { promise, resolve, timer }
    }
    return this.#room.promise
  }

  #giveRoom(): void {
    this.#room?.timer.cancel()
    this.#room?.resolve()
    this.#room = null
  }

  #end(verdict: Verdict): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#deadline?.cancel()
    this.#instream?.destroy()
    this.#held = []
    this.#heldOctets = 0
    this.#giveRoom()
    for (const release of this.#places.splice(0)) release()
    this.#result.resolve(verdict)
    this.#deps.onEnd(this)
  }
}
