// Opens TCP connections to checked addresses, each with a deadline, and knows all that are open so that
// stopping leaves none behind. Takes addresses, never names: what was checked is what is connected to (T9).
import { connect, type Socket } from 'node:net'
import type { Clock } from '../../runtime/clock.ts'
import { socketErrorText, type Trouble } from './wire.ts'

export type Dialled =
  | { readonly kind: 'connected'; readonly socket: Socket }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }

export interface Dialler {
  /** Connects to an IP address; the caller owns the socket. */
  dial(address: string, port: number): Promise<Dialled>
  /** Sockets that are open or opening. */
  readonly open: number
  /** Destroys every socket that is still open. */
  stop(): void
}

export function createDialler(clock: Clock, connectMs: number): Dialler {
  const sockets = new Set<Socket>()
  let stopped = false
  return {
    dial(address, port) {
      if (stopped) return Promise.resolve({ kind: 'trouble', trouble: STOPPED })
      return new Promise((resolve) => {
        const socket = connect({ host: address, port, noDelay: true, autoSelectFamily: false })
        sockets.add(socket)
        // Never without a listener, whoever owns the socket just now.
        socket.on('error', () => {})
        const timer = clock.after(connectMs, () => {
          const detail = `No connection was made within ${Math.round(connectMs / 1000)} s.`
          settle({ kind: 'trouble', trouble: { kind: 'connect', detail } })
        })
        const onError = (error: Error): void =>
          settle({ kind: 'trouble', trouble: { kind: 'connect', detail: socketErrorText(error) } })
        const onConnect = (): void => settle({ kind: 'connected', socket })
        const onEarlyClose = (): void => settle({ kind: 'trouble', trouble: STOPPED })
        const settle = (dialled: Dialled): void => {
          timer.cancel()
          socket.off('connect', onConnect)
          socket.off('close', onEarlyClose)
          socket.off('error', onError)
          if (dialled.kind === 'trouble') socket.destroy()
          resolve(dialled)
        }
        socket.once('connect', onConnect)
        socket.once('error', onError)
        socket.once('close', onEarlyClose)
        socket.once('close', () => sockets.delete(socket))
      })
    },
    get open() {
      return sockets.size
    },
    stop() {
      stopped = true
      for (const socket of sockets) socket.destroy()
    },
  }
}

const STOPPED: Trouble = { kind: 'stopped', detail: 'The gateway is stopping.' }
