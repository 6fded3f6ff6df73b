// The mail clients of the benchmark, all in one process: each connects, upgrades with STARTTLS, logs in with AUTH
// PLAIN and sends its mails, MAIL, RCPT and DATA in one write. A full TLS handshake for each connection, as from
// many different clients. They check every reply and parse nothing else.
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls, createSecureContext } from 'node:tls'
import {
  type HoldOrder,
  type HoldResult,
  type LoadOrder,
  type LoadResult,
  type Login,
  now,
} from './protocol.ts'

const REPLY_LIMIT_MS = 60_000
const COMPLAINTS_MAX = 5
const secureContext = createSecureContext()

/** One connection, reduced to octets out and whole replies in. */
class Connection {
  #socket: Socket
  #received = ''
  #replies: string[] = []
  #waiting: { resolve: (reply: string) => void; reject: (error: Error) => void } | null = null
  #failure: Error | null = null

  constructor(socket: Socket) {
    this.#socket = socket
    this.#attach()
  }

  /** The next whole reply; it must begin with `code`. */
  async expect(code: string): Promise<void> {
    const reply = this.#replies.shift() ?? (await this.#next())
    if (!reply.startsWith(code)) throw new Error(`expected ${code}, got ${reply}`)
  }

  write(content: string | Buffer): void {
    this.#socket.write(content)
  }

  /** TLS from here on, after the 220 to STARTTLS. */
  upgrade(): void {
    const plain = this.#socket
    plain.removeAllListeners()
    this.#socket = connectTls({ socket: plain, secureContext, rejectUnauthorized: false })
    plain.on('error', (error) => this.#fail(error))
    this.#attach()
  }

  /** From here on nothing is expected, for as long as it takes. */
  wait(): void {
    this.#socket.setTimeout(0)
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #next(): Promise<string> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  #attach(): void {
    this.#socket.setNoDelay(true)
    this.#socket.setTimeout(REPLY_LIMIT_MS, () =>
      this.#fail(new Error(`no reply within ${REPLY_LIMIT_MS} ms`)),
    )
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')))
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('connection closed by the server')))
  }

  #take(text: string): void {
    this.#received += text
    for (;;) {
      const whole = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#received)
      if (whole === null) return
      this.#received = this.#received.slice(whole[0].length)
      const waiting = this.#waiting
      this.#waiting = null
      if (waiting) waiting.resolve(whole[0])
      else this.#replies.push(whole[0])
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#socket.destroy()
    this.#waiting?.reject(this.#failure)
    this.#waiting = null
  }
}

/** A mail as an office would send it: text lines of 76 octets, a header that names program and machine. */
function makeMail(order: LoadOrder): { head: string; tail: Buffer } {
  const head = `From: Bench <${order.reversePath}>\r\nTo: <${order.forwardPath}>\r\nSubject: Angebot\r\nDate: ${new Date().toUTCString().replace('GMT', '+0000')}\r\nUser-Agent: Mozilla Thunderbird\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n`
  const line = `${'The quick brown fox jumps over the lazy dog and writes an offer to someone. '.slice(0, 74)}\r\n`
  const lines = Math.max(1, Math.round((order.sizeBytes - head.length - 60) / line.length))
  return { head, tail: Buffer.from(`\r\n${line.repeat(lines)}.\r\n`) }
}

async function open(order: Login): Promise<Connection> {
  const connection = new Connection(connectTcp(order.server))
  try {
    await connection.expect('220')
    connection.write('EHLO client.bench.test\r\n')
    await connection.expect('250')
    connection.write('STARTTLS\r\n')
    await connection.expect('220')
    connection.upgrade()
    connection.write('EHLO client.bench.test\r\n')
    await connection.expect('250')
    const token = Buffer.from(`\0${order.login}\0${order.password}`).toString('base64')
    connection.write(`AUTH PLAIN ${token}\r\n`)
    await connection.expect('235')
    return connection
  } catch (error) {
    connection.destroy()
    throw error
  }
}

async function load(order: LoadOrder): Promise<LoadResult> {
  const { amount } = order
  const mail = makeMail(order)
  const transaction = `MAIL FROM:<${order.reversePath}>\r\nRCPT TO:<${order.forwardPath}>\r\nDATA\r\n`
  const acceptedAt: number[] = []
  const complaints: string[] = []
  let failures = 0
  let begun = 0
  const startedAt = now()
  const endAt = amount.kind === 'seconds' ? startedAt + amount.seconds * 1000 : Number.POSITIVE_INFINITY
  const mailsMax = amount.kind === 'mails' ? amount.mails : Number.POSITIVE_INFINITY
  const more = (): boolean => begun < mailsMax && now() < endAt && failures < COMPLAINTS_MAX

  async function send(connection: Connection): Promise<void> {
    const number = begun++
    connection.write(transaction)
    await connection.expect('250')
    await connection.expect('250')
    await connection.expect('354')
    const head = Buffer.from(`${mail.head}Message-ID: <${startedAt.toString(36)}.${number}@bench.test>\r\n`)
    connection.write(Buffer.concat([head, mail.tail]))
    await connection.expect('250')
    acceptedAt.push(now())
    if (order.pauseMs > 0) await delay(order.pauseMs)
  }

  async function runClient(): Promise<void> {
    while (more()) {
      let connection: Connection | null = null
      try {
        connection = await open(order)
        for (let sent = 0; sent < order.mailsPerConnection && more(); sent++) await send(connection)
        connection.write('QUIT\r\n')
        await connection.expect('221')
      } catch (error) {
        failures++
        complaints.push(error instanceof Error ? error.message.trim() : String(error))
      } finally {
        connection?.destroy()
      }
    }
  }
  await Promise.all(Array.from({ length: order.clients }, runClient))
  return { kind: 'loaded', startedAt, acceptedAt, failures, complaints: complaints.slice(0, COMPLAINTS_MAX) }
}

/** Twenty at a time, so that handshakes do not wait for one another until they are given up. */
async function hold(order: HoldOrder, held: Connection[]): Promise<HoldResult> {
  const complaints: string[] = []
  let begun = 0
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      while (begun < order.sessions && complaints.length < COMPLAINTS_MAX) {
        begun++
        try {
          const connection = await open(order)
          connection.wait()
          held.push(connection)
        } catch (error) {
          complaints.push(error instanceof Error ? error.message.trim() : String(error))
        }
      }
    }),
  )
  return { kind: 'held', failures: complaints.length, complaints: complaints.slice(0, COMPLAINTS_MAX) }
}

const held: Connection[] = []
process.on('message', async (order: LoadOrder | HoldOrder) => {
  process.send?.(order.kind === 'load' ? await load(order) : await hold(order, held))
})
process.on('disconnect', () => process.exit(0))
