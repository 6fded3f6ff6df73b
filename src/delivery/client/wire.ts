// One socket to a next hop as lines out and replies in. Owns the socket: destroys it on any trouble, on a
// passed deadline and on `destroy`. Knows no SMTP command; decides nothing about encryption.
//
// A deadline covers a whole phase, not the silence between octets: a peer that drips a reply for ever is cut
// off like one that says nothing. Times after RFC 5321 §4.5.3.2.
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Reply } from '../../smtp/reply.ts'
import { ReplyReader } from './reply-reader.ts'

/** What ended a dialogue without a reply. `detail` is one English sentence for log and notice. */
export interface Trouble {
  readonly kind: 'connect' | 'timeout' | 'closed' | 'protocol' | 'stopped'
  readonly detail: string
}

export type Answer =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }

/** Octets that may wait in the socket before the sender of a large body pauses. */
const UNSENT_OCTETS_MAX = 512 * 1024

export class Wire {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #reader = new ReplyReader()
  #trouble: Trouble | null = null
  #waiting: ((answer: Answer) => void) | null = null
  #drained: (() => void) | null = null
  #deadline: Timer | null = null
  #watcher: (() => void) | null = null
  readonly #onData = (chunk: Buffer): void => this.#received(chunk)
  readonly #onError = (error: Error): void => this.fail({ kind: 'closed', detail: socketErrorText(error) })
  readonly #onClose = (): void =>
    this.fail({ kind: 'closed', detail: 'The connection was closed by the peer.' })
  readonly #onDrain = (): void => this.#resume()

  /** Takes over a connected socket. */
  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    socket.on('data', this.#onData)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('drain', this.#onDrain)
  }

  /** Why nothing more can come, `null` while the wire is good. */
  get trouble(): Trouble | null {
    return this.#trouble
  }

  /** Nothing unread is buffered, no half line, no fault. */
  get isQuiet(): boolean {
    return this.#trouble === null && this.#reader.isEmpty
  }

  /** Sets the deadline of the phase that begins now, replacing the last one; `what` completes "no … within". */
  arm(limitMs: number, what: string): void {
    this.#deadline?.cancel()
    this.#deadline = this.#clock.after(limitMs, () =>
      this.fail({
        kind: 'timeout',
        detail: `The peer gave no ${what} within ${Math.round(limitMs / 1000)} s.`,
      }),
    )
  }

  /** The phase is over. */
  disarm(): void {
    this.#deadline?.cancel()
    this.#deadline = null
  }

  /** Sends `octets`; nothing happens when the wire is already broken (the next `reply` tells). */
  send(octets: Uint8Array): void {
    if (this.#trouble === null) this.#socket.write(octets)
  }

  /** `null` when more may be sent at once, else resolves when it may, or when the wire broke. */
  ready(): Promise<void> | null {
    if (this.#trouble !== null || this.#socket.writableLength < UNSENT_OCTETS_MAX) return null
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  /** The next reply in order, or the trouble that prevents it. One caller at a time. */
  reply(): Promise<Answer> {
    const answer = this.#answer()
    if (answer !== null) return Promise.resolve(answer)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** A reply that has already come, without waiting for one. */
  pending(): Reply | null {
    return this.#reader.next()
  }

  /** Calls `watcher` once at the next octet or the end: for idle connections, where either is the end. */
  watch(watcher: (() => void) | null): void {
    this.#watcher = watcher
  }

  /**
   * Gives the bare socket away for a TLS handshake; this wire is finished. `null` when the peer sent more
   * than the reply to STARTTLS: that is an injection (CVE-2011-0411 in reverse), and the wire is destroyed.
   */
  detach(): Socket | null {
    if (!this.isQuiet) {
      this.fail({
        kind: 'protocol',
        detail: 'The peer sent data between its reply to STARTTLS and the handshake.',
      })
      return null
    }
    this.disarm()
    this.#trouble = { kind: 'stopped', detail: 'The connection went on under TLS.' }
    this.#socket.off('data', this.#onData)
    this.#socket.off('close', this.#onClose)
    this.#socket.off('drain', this.#onDrain)
    // The error listener stays: an error of the bare socket also reaches the TLS socket, which acts on it.
    this.#socket.pause()
    return this.#socket
  }

  /** Says QUIT and hangs up without waiting for the answer longer than `limitMs`. */
  quit(limitMs: number): void {
    if (this.#trouble !== null) return
    this.#socket.end(QUIT)
    this.#watcher = null
    this.arm(limitMs, 'end of the connection')
  }

  /** Ends the wire; whoever waits gets `trouble`. The first trouble stands. */
  fail(trouble: Trouble): void {
    if (this.#trouble !== null) return
    this.#trouble = trouble
    this.disarm()
    this.#socket.destroy()
    this.#resume()
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.(this.#answer() ?? { kind: 'trouble', trouble })
    this.#alarm()
  }

  destroy(): void {
    this.fail({ kind: 'stopped', detail: 'The gateway closed the connection.' })
  }

  #received(chunk: Buffer): void {
    this.#reader.push(chunk)
    if (this.#waiting !== null) {
      const answer = this.#answer()
      if (answer !== null) {
        const waiting = this.#waiting
        this.#waiting = null
        waiting(answer)
      }
    }
    // Stop reading at once: a peer that never ends its lines costs nothing more.
    if (this.#reader.fault !== null) this.fail(protocolTrouble(this.#reader.fault))
    else this.#alarm()
  }

  #answer(): Answer | null {
    const reply = this.#reader.next()
    if (reply !== null) return { kind: 'reply', reply }
    if (this.#reader.fault !== null) return { kind: 'trouble', trouble: protocolTrouble(this.#reader.fault) }
    return this.#trouble === null ? null : { kind: 'trouble', trouble: this.#trouble }
  }

  #resume(): void {
    const drained = this.#drained
    this.#drained = null
    drained?.()
  }

  #alarm(): void {
    const watcher = this.#watcher
    this.#watcher = null
    watcher?.()
  }
}

const QUIT = Buffer.from('QUIT\r\n')

const protocolTrouble = (fault: string): Trouble => ({
  kind: 'protocol',
  detail: `The peer does not speak SMTP (${fault.replaceAll('-', ' ')}).`,
})

/** A socket error in one sentence: the system's error code, never its free text. */
export function socketErrorText(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  const words = SOCKET_ERRORS[code]
  return words === undefined ? `The connection broke (${code.slice(0, 60)}).` : `${words} (${code}).`
}

const SOCKET_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The connection was refused',
  ECONNRESET: 'The connection was reset by the peer',
  EHOSTUNREACH: 'The host cannot be reached',
  ENETUNREACH: 'The network cannot be reached',
  EPIPE: 'The connection was closed by the peer',
  ETIMEDOUT: 'The connection timed out',
}
