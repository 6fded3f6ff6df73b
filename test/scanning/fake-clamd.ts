// A clamd in this process that understands INSTREAM and then does what a test tells it to.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** What the fake does; without an entry it does nothing at that point. */
export interface Behaviour {
  /** A connection was taken; before anything is read. */
  readonly connected?: (socket: Socket) => void
  /** The end mark has come; `body` is what was framed before it. */
  readonly ended?: (socket: Socket, body: Buffer) => void
}

export interface FakeClamd {
  readonly address: string
  /** Connections taken so far. */
  readonly connections: readonly Socket[]
  /** Resolves when `count` connections have been taken in all. */
  connected(count: number): Promise<void>
  stop(): Promise<void>
}

/** Listens on 127.0.0.1, port 0, or at `path`: there the kernel holds far fewer octets. */
export async function startFakeClamd(behaviour: Behaviour, path?: string): Promise<FakeClamd> {
  const connections: Socket[] = []
  const server = createServer((socket) => {
    connections.push(socket)
    socket.on('error', () => {}) // the scanner may leave in the middle
    behaviour.connected?.(socket)
    gather(socket, (body) => behaviour.ended?.(socket, body))
    server.emit('taken')
  })
  server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path })
  await once(server, 'listening')
  return {
    address: nameOf(server.address()),
    connections,
    async connected(count) {
      while (connections.length < count) await once(server, 'taken')
    },
    async stop() {
      server.close()
      for (const socket of connections) socket.destroy()
      await once(server, 'close')
    },
  }
}

const nameOf = (address: AddressInfo | string | null): string =>
  typeof address === 'object' ? `127.0.0.1:${address?.port}` : `unix:${address}`

/** Reads command and chunks; throws in the server when the framing is wrong, which fails the test. */
function gather(socket: Socket, ended: (body: Buffer) => void): void {
  let pending = Buffer.alloc(0)
  let isGreeted = false
  const body: Buffer[] = []
  socket.on('data', (octets: Buffer) => {
    pending = Buffer.concat([pending, octets])
    if (!isGreeted) {
      if (pending.length < 10) return
      if (pending.toString('latin1', 0, 10) !== 'zINSTREAM\0') throw new Error('not the INSTREAM command')
      isGreeted = true
      pending = pending.subarray(10)
    }
    while (pending.length >= 4) {
      const length = pending.readUInt32BE(0)
      if (length === 0) {
        if (pending.length > 4) throw new Error('octets behind the end mark')
        pending = Buffer.alloc(0)
        ended(Buffer.concat(body))
        return
      }
      if (pending.length < 4 + length) return
      body.push(pending.subarray(4, 4 + length))
      pending = pending.subarray(4 + length)
    }
  })
}
