// A bare SMTP client for tests: sends octets as given and reads whole replies. No policy, no comfort.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

export interface SmtpClient {
  /** Sends `text` as it is. */
  write(text: string | Uint8Array): void
  /** The next whole reply, lines joined by `\n`, or `null` when the connection is closed. */
  reply(): Promise<string | null>
  /** `write(line + CRLF)` and the reply to it. */
  command(line: string): Promise<string | null>
  /** Upgrades after a 220 to STARTTLS. */
  upgrade(): Promise<TLSSocket>
  /** Octets that came and belong to no reply read so far. */
  unread(): string
  readonly socket: Socket
  close(): void
  /** Leaves with a TCP reset. */
  reset(): void
}

/**
 * Connects to `port` on 127.0.0.1, from `localAddress` where given; with `implicitTls` TLS begins at once.
 * Certificates are not checked.
 */
export async function connectSmtp(
  port: number,
  options: { implicitTls?: boolean; localAddress?: string } = {},
): Promise<SmtpClient> {
  const { localAddress } = options
  let socket: Socket = options.implicitTls
    ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    : connectTcp({ port, host: '127.0.0.1', ...(localAddress && { localAddress }) })
  const transport = socket
  let received = ''
  let closed = false
  let wake: () => void = () => undefined
  const attach = (): void => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      closed = true
      wake()
    })
  }
  attach()
  const takeReply = (): string | null => {
    const match = /^(?:[0-9]{3}-[^\n]*\r\n)*[0-9]{3} [^\n]*\r\n/.exec(received)
    if (!match) return null
    received = received.slice(match[0].length)
    return match[0].trimEnd().replaceAll('\r\n', '\n')
  }
  const client: SmtpClient = {
    write: (text) => void socket.write(text),
    async reply() {
      for (;;) {
        const whole = takeReply()
        if (whole !== null) return whole
        if (closed) return null
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    command(line) {
      client.write(`${line}\r\n`)
      return client.reply()
    },
    upgrade() {
      socket.removeAllListeners('data')
      socket.removeAllListeners('close')
      return new Promise((resolve, reject) => {
        const secure = connectTls({ socket, rejectUnauthorized: false }, () => resolve(secure))
        secure.once('error', reject)
        socket = secure
        attach()
      })
    },
    unread: () => received,
    get socket() {
      return socket
    },
    close: () => socket.destroy(),
    // Within TLS only the socket below it can do so; with implicit TLS there is none to be had.
    reset: () => (transport === socket ? socket.destroy() : transport.resetAndDestroy()),
  }
  return client
}

/** Connects, upgrades and logs in with AUTH PLAIN; fails when a step does not answer as expected. */
export async function connectLoggedIn(port: number, login: string, password: string): Promise<SmtpClient> {
  const client = await connectSmtp(port)
  await expectReply(client.reply(), '220')
  await expectReply(client.command('EHLO client.example'), '250')
  await expectReply(client.command('STARTTLS'), '220')
  await client.upgrade()
  await expectReply(client.command('EHLO client.example'), '250')
  const token = Buffer.from(`\0${login}\0${password}`).toString('base64')
  await expectReply(client.command(`AUTH PLAIN ${token}`), '235')
  return client
}

async function expectReply(reply: Promise<string | null>, code: string): Promise<void> {
  const text = await reply
  if (!text?.startsWith(code)) throw new Error(`expected ${code}, got ${text}`)
}
