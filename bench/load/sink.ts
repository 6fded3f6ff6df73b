// The recipient of the benchmark, a process of its own: an SMTP server that demands STARTTLS, takes everything,
// keeps nothing and counts. It parses no more than it must. Arguments: address, PEM files of chain and key.
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { now, type SinkCount, type SinkNews, type SinkOrder } from './protocol.ts'

const END_OF_DATA = Buffer.from('\r\n.\r\n')
const COMMAND_OCTETS_MAX = 64 * 1024

const [address = '127.0.0.1', chain = '', key = ''] = process.argv.slice(2)
const secureContext = createSecureContext({ cert: readFileSync(chain), key: readFileSync(key) })

let octets = 0
let connections = 0
let resumed = 0
let arrivedAt: number[] = []
let awaited = Number.POSITIVE_INFINITY

const tell = (news: SinkNews): void => {
  process.send?.(news)
}

function arrived(): void {
  arrivedAt.push(now())
  if (arrivedAt.length >= awaited) report()
}

function report(): void {
  awaited = Number.POSITIVE_INFINITY
  const count: SinkCount = {
    mails: arrivedAt.length,
    octets,
    lastAt: arrivedAt.at(-1) ?? 0,
    connections,
    resumed,
    arrivedAt,
  }
  tell({ kind: 'arrived', ...count })
}

/** Serves one connection; called anew on the TLS socket once the client has upgraded. */
function serve(socket: Socket, secure: boolean): void {
  let pending: Buffer = Buffer.alloc(0)
  let inData = false
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    octets += secure ? chunk.length : 0
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    let replies = ''
    for (;;) {
      if (inData) {
        const end = pending.indexOf(END_OF_DATA)
        if (end < 0) {
          pending = pending.subarray(Math.max(0, pending.length - END_OF_DATA.length + 1))
          break
        }
        pending = pending.subarray(end + END_OF_DATA.length)
        inData = false
        arrived()
        replies += '250 2.0.0 Ok: discarded\r\n'
        continue
      }
      const lineEnd = pending.indexOf('\r\n')
      if (lineEnd < 0) break
      const command = pending.toString('latin1', 0, Math.min(lineEnd, 8)).toUpperCase()
      pending = pending.subarray(lineEnd + 2)
      if (command.startsWith('STARTTLS') && !secure) return upgrade(socket)
      if (command.startsWith('DATA') && secure) {
        inData = true
        // Keep the CRLF of the command: a mail may consist of nothing but the final dot.
        pending = Buffer.concat([Buffer.from('\r\n'), pending])
      }
      replies += answer(command, secure)
      if (command.startsWith('QUIT')) {
        socket.end(replies)
        return
      }
    }
    if (pending.length > COMMAND_OCTETS_MAX) socket.destroy()
    else if (replies !== '') socket.write(replies)
  })
}

function answer(command: string, secure: boolean): string {
  switch (command.slice(0, 4)) {
    case 'EHLO':
      return `250-sink.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n${
        secure ? '' : '250-STARTTLS\r\n'
      }250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250 DSN\r\n`
    case 'MAIL':
      return secure ? '250 2.1.0 Ok\r\n' : '530 5.7.0 Must issue a STARTTLS command first\r\n'
    case 'RCPT':
      return '250 2.1.5 Ok\r\n'
    case 'DATA':
      return secure ? '354 Go on\r\n' : '503 5.5.1 No transaction\r\n'
    case 'QUIT':
      return '221 2.0.0 Bye\r\n'
    case 'RSET':
    case 'NOOP':
      return '250 2.0.0 Ok\r\n'
    default:
      return '502 5.5.2 Not implemented\r\n'
  }
}

function upgrade(socket: Socket): void {
  socket.removeAllListeners('data')
  socket.write('220 2.0.0 Go ahead\r\n')
  const secure = new TLSSocket(socket, { isServer: true, secureContext })
  secure.on('secure', () => {
    if (secure.isSessionReused()) resumed++
  })
  serve(secure, true)
}

const server = createServer({ noDelay: true }, (socket) => {
  connections++
  serve(socket, false)
  socket.write('220 sink.test ESMTP\r\n')
})
server.listen({ host: address, port: 0, backlog: 1024 }, () => {
  const bound = server.address()
  if (bound !== null && typeof bound === 'object') tell({ kind: 'listening', port: bound.port })
})
process.on('message', (order: SinkOrder) => {
  if (order.kind === 'await') {
    awaited = order.mails
    if (arrivedAt.length >= awaited) report()
    return
  }
  octets = 0
  connections = 0
  resumed = 0
  arrivedAt = []
  tell({ kind: 'reset-done' })
})
process.on('disconnect', () => process.exit(0))
