// One query to one resolver and back, over UDP or TCP: the only file of this room with sockets.
// Decides nothing: which resolver, how often and what an answer means is for client.ts and answer.ts.
// Each exchange owns its socket and has closed it when it resolves. RFC 1035 §4.2, RFC 7766, RFC 5452 §9.
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Clock } from '../runtime/clock.ts'
import { faultText } from '../runtime/fault.ts'
import { type Query, type Response, readResponse } from './packet.ts'
import type { ResolverAddress } from './settings.ts'

/** `failed`: nothing usable came: no answer in time, network error, malformed octets. */
export type Exchange =
  | { readonly kind: 'response'; readonly response: Response }
  | { readonly kind: 'failed'; readonly reason: string }

/** Asks `query` once. `limitMs` bounds the whole exchange; aborting `signal` ends it at once. Never rejects. */
export type ExchangeOnce = (
  clock: Clock,
  server: ResolverAddress,
  query: Query,
  limitMs: number,
  signal: AbortSignal,
) => Promise<Exchange>

/** Datagrams that fit neither id nor question before somebody is guessing ids (RFC 5452 §9.3). */
const STRAYS_MAX = 20
const TCP_ANSWER_OCTETS_MAX = 32 * 1024

const failed = (reason: string): Exchange => ({ kind: 'failed', reason })

/** Runs `start` with a one-shot `end`: whatever comes first (result, deadline, abort) decides, then `close`. */
function once(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  start: (end: (result: Exchange) => void) => () => void,
): Promise<Exchange> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(failed('the resolver is closed'))
    let open = true
    const end = (result: Exchange): void => {
      if (!open) return
      open = false
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
      close()
      resolve(result)
    }
    const onAbort = (): void => end(failed('the resolver is closed'))
    const timer = clock.after(limitMs, () => end(failed(`no answer within ${Math.round(limitMs)} ms`)))
    signal.addEventListener('abort', onAbort)
    const close = start(end)
  })
}

/** Over a connected UDP socket of its own: random port, random id, and the kernel checks the source. */
export const exchangeUdp: ExchangeOnce = (clock, server, query, limitMs, signal) =>
  once(clock, limitMs, signal, (end) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
    let strays = 0
    socket.on('error', (error) => end(failed(faultText(error))))
    socket.on('message', (message) => {
      const reading = readResponse(message, query)
      if (reading.kind === 'response') return end(reading)
      if (reading.kind === 'malformed') return end(failed(`malformed answer: ${reading.reason}`))
      strays++
      if (strays > STRAYS_MAX) end(failed('a flood of answers that nobody asked for'))
    })
    socket.on('connect', () => socket.send(query.bytes))
    socket.connect(server.port, server.address)
    return () => socket.close()
  })

/** Over TCP, for answers that UDP cut off. */
export const exchangeTcp: ExchangeOnce = (clock, server, query, limitMs, signal) =>
  once(clock, limitMs, signal, (end) => {
    const socket = connect({ host: server.address, port: server.port, noDelay: true })
    let received = Buffer.alloc(0)
    socket.on('error', (error) => end(failed(faultText(error))))
    socket.on('close', () => end(failed('closed before the answer was complete')))
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(query.bytes.length)
      socket.write(Buffer.concat([length, query.bytes]))
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2) return
      const length = received.readUInt16BE(0)
      if (length > TCP_ANSWER_OCTETS_MAX) return end(failed('the answer is too large'))
      if (received.length < 2 + length) return
      const reading = readResponse(received.subarray(2, 2 + length), query)
      if (reading.kind === 'response') return end(reading)
      end(
        failed(
          reading.kind === 'foreign'
            ? 'an answer to another question'
            : `malformed answer: ${reading.reason}`,
        ),
      )
    })
    return () => socket.destroy()
  })
