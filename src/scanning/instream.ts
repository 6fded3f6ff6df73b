// One INSTREAM connection to clamd: connects to the first target that answers, frames octets, gathers the reply.
// clamd(8): `zINSTREAM\0`, then chunks of a 4-octet length and data, ended by a length of zero.
// Does not judge the reply, bound the number of connections or wait for a verdict (scan.ts does).
import { connect, type Socket } from 'node:net'
import type { Clock, Timer } from '../runtime/clock.ts'
import { faultText } from '../runtime/fault.ts'
import { quoteReply, REPLY_OCTETS_MAX } from './clamd-reply.ts'
import type { ScannerAddress } from './settings.ts'

/** What happens on a connection. After `replied` or `failed` nothing more is called. */
export interface InstreamEvents {
  connected(): void
  /** The socket takes more again, after `send` returned `false`. */
  drained(): void
  /**
   * All that clamd said: ended by NUL, or cut off when it closed or said too much.
   * @param afterEnd the end mark had left this process before
   */
  replied(reply: string, afterEnd: boolean): void
  /** No target took the connection, or it broke without a word. */
  failed(reason: string): void
  /** A target did not take the connection; the next one is tried. */
  passedOver(target: ScannerAddress, reason: string): void
}

export interface Instream {
  /** The target in use or tried last, for the log. */
  readonly target: string
  /** Sends `chunks` (`octets` in all) as one chunk, `last` with the end mark. `false`: wait for `drained`. */
  send(chunks: readonly Uint8Array[], octets: number, last: boolean): boolean
  /** Closes without further events. */
  destroy(): void
}

const COMMAND = Buffer.from('zINSTREAM\0', 'latin1')
const END_MARK = Buffer.alloc(4)
const COPIED_OCTETS_MAX = 128 * 1024

/** Begins to connect to `targets` in order, each for at most `connectTimeoutMs`. Events come later, never at once. */
export function openInstream(
  clock: Clock,
  targets: readonly ScannerAddress[],
  connectTimeoutMs: number,
  events: InstreamEvents,
): Instream {
  let socket: Socket | null = null
  let timer: Timer | null = null
  let tried = 0
  let reply = ''
  let open = true
  let isGreeted = false
  let isLastSent = false

  const close = (): void => {
    open = false
    timer?.cancel()
    socket?.destroy()
  }
  const conclude = (report: () => void): void => {
    if (!open) return
    close()
    report()
  }

  const tryNext = (lastReason: string): void => {
    const target = targets[tried]
    if (!target) return conclude(() => events.failed(lastReason))
    tried++
    const candidate =
      target.kind === 'unix'
        ? connect({ path: target.path })
        : connect({ host: target.host, port: target.port, noDelay: true })
    socket = candidate
    const passOver = (reason: string): void => {
      if (!open || socket !== candidate) return
      timer?.cancel()
      candidate.destroy()
      socket = null
      if (tried < targets.length) events.passedOver(target, reason)
      tryNext(reason)
    }
    timer = clock.after(connectTimeoutMs, () => passOver(`no connection within ${connectTimeoutMs} ms`))
    candidate.on('error', (error) => passOver(faultText(error)))
    candidate.once('connect', () => {
      if (!open || socket !== candidate) return
      timer?.cancel()
      candidate.removeAllListeners('error')
      listen(candidate)
      events.connected()
    })
  }

  const listen = (connected: Socket): void => {
    const replied = (): void => {
      const afterEnd = isLastSent && connected.writableLength === 0
      conclude(() => events.replied(reply, afterEnd))
    }
    connected.on('data', (chunk: Buffer) => {
      reply += chunk.toString('latin1')
      if (reply.endsWith('\0') || reply.length > REPLY_OCTETS_MAX) replied()
    })
    connected.on('drain', () => {
      if (open) events.drained()
    })
    connected.on('error', (error) => conclude(() => events.failed(brokenBy(error, reply))))
    connected.on('close', replied)
  }

  tryNext('no scanner is configured')
  return {
    get target() {
      return targets[Math.max(0, tried - 1)]?.text ?? ''
    },
    send(chunks, octets, last) {
      if (!socket || !open) return true
      const pieces = frame(chunks, octets, last, isGreeted)
      isGreeted = true
      isLastSent = last
      return write(socket, pieces, octets)
    },
    destroy: close,
  }
}

/** Command where it is due, length, data, end mark. A chunk of no octets would be an end mark itself. */
function frame(
  chunks: readonly Uint8Array[],
  octets: number,
  last: boolean,
  isGreeted: boolean,
): readonly Uint8Array[] {
  const pieces: Uint8Array[] = isGreeted ? [] : [COMMAND]
  if (octets > 0) {
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(octets)
    pieces.push(length, ...chunks)
  }
  if (last) pieces.push(END_MARK)
  return pieces
}

/** Small frames are copied into one buffer, large ones gathered by the kernel: one system call either way. */
function write(socket: Socket, pieces: readonly Uint8Array[], octets: number): boolean {
  if (octets <= COPIED_OCTETS_MAX) return socket.write(Buffer.concat(pieces))
  socket.cork()
  let hasRoom = true
  for (const piece of pieces) hasRoom = socket.write(piece)
  socket.uncork()
  return hasRoom
}

function brokenBy(error: Error, reply: string): string {
  if (reply !== '') return `clamd answered ${quoteReply(reply)}, then ${faultText(error)}`
  return `the connection broke (${faultText(error)}); perhaps clamd's StreamMaxLength is below our message size`
}
