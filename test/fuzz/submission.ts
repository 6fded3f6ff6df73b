// `npm run fuzz:submission`: random sessions against the real listener in this process, until the time is up or
// something does not hold. Options: --seconds N (default 60), --seed N (default: of the clock; printed), --at-once N.
// What must hold: the process lives and nobody forgot a rejection; every reply is well-formed; nothing of a mail is
// taken before TLS and login; what is taken is exactly what was sent up to CRLF.CRLF; and nothing with a bare CR,
// bare LF or NUL passes as sound.
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { createSeededRandom } from '../crash/seeded-random.ts'
import { connectSmtp, type SmtpClient } from '../support/smtp-client.ts'
import { type SubmissionServer, startSubmission } from '../support/submission-server.ts'
import { contentProblem, endOfData, makeSession, type Step } from './session-script.ts'

const LINE_OCTETS_MAX = 10_000
const STEP_LIMIT_MS = 10_000
/** RFC 5321 §4.2: code, hyphen or blank, printable text (the client cuts a blank at the end); §4.5.3.1.5: 512 octets with CRLF. */
const REPLY_LINE = /^[2-5][0-9]{2}(?:[ -][\t\x20-\x7e]*)?$/
const REPLY_OCTETS_MAX = 512
/** Accepted MAIL, accepted RCPT, begun DATA, accepted message. */
const TAKEN = /^(?:250[ -]2\.1\.[05] |354 |250 2\.0\.0 OK id=)/m

class Violation extends Error {}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Violation(what)
}

function checkReplies(text: string): void {
  const lines = text.split('\r\n')
  check(lines.pop() === '', `a reply without its end: ${JSON.stringify(text.slice(-200))}`)
  for (const line of lines) {
    check(REPLY_LINE.test(line), `a reply line that is none: ${JSON.stringify(line)}`)
    check(line.length + 2 <= REPLY_OCTETS_MAX, `a reply line of ${line.length} octets: ${line}`)
  }
  for (const [at, line] of lines.entries()) {
    if (line[3] === '-')
      check(lines[at + 1]?.slice(0, 3) === line.slice(0, 3), `a reply that breaks off: ${line}`)
  }
}

/** Resolves with the promise; throws a violation when it takes too long. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new Violation(`${what}: nothing for ${STEP_LIMIT_MS} ms`)),
    STEP_LIMIT_MS,
  )
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

interface Session {
  readonly client: SmtpClient
  isSecure: boolean
  isLoggedIn: boolean
  /** Contents that were sent whole after a 354, in order. */
  readonly sent: string[]
}

async function write(client: SmtpClient, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (!client.socket.writable) return
    client.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Reads replies until a NOOP of our own is answered or the connection is gone. Commands only. */
async function settle(session: Session, isFree: boolean): Promise<boolean> {
  const { client } = session
  const mark = isFree ? 'EHLO mark' : 'NOOP'
  client.write(`\r\n${mark}\r\n`)
  let quiet = 0
  for (;;) {
    const reply = await soon('a reply', client.reply())
    if (reply === null) return false
    checkReplies(`${reply.replaceAll('\n', '\r\n')}\r\n`)
    if (session.isSecure && reply.startsWith('235')) session.isLoggedIn = true // by chance
    check(
      (session.isSecure && session.isLoggedIn) || !TAKEN.test(reply),
      `taken before TLS and login: ${reply}`,
    )
    // Content or a handshake from here on: what more was sent is not commands.
    if (reply.startsWith('354') || reply.startsWith('220')) return false
    // The mark was taken for an answer of a login exchange.
    if (reply.startsWith('334')) client.write(`*\r\n${mark}\r\n`)
    quiet = client.unread() === '' ? quiet + 1 : 0
    if (quiet > 0 && (reply.startsWith('250 2.0.0 OK') || reply.includes('250-PIPELINING'))) return true
  }
}

async function expect(session: Session, line: string, code: string): Promise<boolean> {
  const reply = await soon(line, session.client.command(line))
  if (reply !== null) checkReplies(`${reply.replaceAll('\n', '\r\n')}\r\n`)
  return reply?.startsWith(code) ?? false
}

/** Does one step; false when the session cannot go on. */
async function perform(session: Session, step: Step): Promise<boolean> {
  const { client } = session
  switch (step.kind) {
    case 'octets':
      await write(client, step.pieces)
      return settle(session, !session.isLoggedIn)
    case 'tls':
      if (!(await expect(session, 'STARTTLS', '220'))) return false
      await soon(
        'the handshake',
        client.upgrade().then(() => undefined),
      )
      session.isSecure = true
      return expect(session, 'EHLO pc', '250')
    case 'login':
      session.isLoggedIn = await expect(session, 'AUTH PLAIN AG1heAByaWdodA==', '235')
      return session.isLoggedIn
    case 'message': {
      await expect(session, 'RSET', '250')
      if (!(await expect(session, 'MAIL FROM:<max@office.example>', '250'))) return false
      if (!(await expect(session, 'RCPT TO:<anna@recipient.example>', '250'))) return false
      if (!(await expect(session, 'DATA', '354'))) return false
      session.sent.push(Buffer.concat(step.pieces).toString('latin1'))
      await write(client, step.pieces)
      const reply = await soon('the reply to a message', client.reply())
      check(reply !== null, 'no reply to a whole message')
      return true
    }
  }
}

async function runSession(server: SubmissionServer, steps: readonly Step[]): Promise<void> {
  const client = await connectSmtp(server.port)
  const session: Session = { client, isSecure: false, isLoggedIn: false, sent: [] }
  try {
    if ((await soon('the greeting', client.reply())) === null) return
    for (const step of steps) if (!(await perform(session, step))) break
  } catch (error) {
    if (error instanceof Violation) throw error
    // The connection ended in a handshake that random octets had spoilt.
  } finally {
    client.close()
  }
  checkMessages(server, session.sent)
}

/** What was sent whole must have been seen exactly so, and judged as our own reading judges it. */
function checkMessages(server: SubmissionServer, sent: readonly string[]): void {
  for (const raw of sent) {
    check(endOfData(raw) === raw.length, 'the script is wrong')
    const content = raw.slice(0, -3)
    const seen = server.messages.find((message) => message.content === content)
    check(seen !== undefined, `a message was read otherwise than sent: ${JSON.stringify(content)}`)
  }
  for (const { content, problem, aborted } of server.messages) {
    if (aborted) continue
    const expected = contentProblem(content, LINE_OCTETS_MAX)
    check(
      (problem === null) === (expected === null),
      `judged as ${problem}, is ${expected}: ${JSON.stringify(content.slice(0, 500))}`,
    )
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      'at-once': { type: 'string', default: '8' },
    },
  })
  const seed = Number(values.seed)
  const until = performance.now() + Number(values.seconds) * 1000
  process.stdout.write(`seed ${seed}\n`)
  const server = await startSubmission({
    settings: { sessionsPerClientMax: 1000, lineOctetsMax: LINE_OCTETS_MAX },
  })
  const open = new Set<Promise<void>>()
  const failures: string[] = []
  process.on('unhandledRejection', (error) => failures.push(`unhandled rejection: ${String(error)}`))
  process.on('uncaughtException', (error) => failures.push(`uncaught exception: ${error.stack}`))
  let sessions = 0
  let messages = 0
  while (performance.now() < until && failures.length === 0) {
    // The sessions of a batch share one list of messages, so that it does not grow for ever.
    for (let count = 0; count < Number(values['at-once']); count++) {
      const number = sessions++
      const steps = makeSession(createSeededRandom(seed + number))
      const running = runSession(server, steps).catch((error: Error) => {
        failures.push(`session ${number} (seed ${seed + number}): ${error.message}`)
      })
      open.add(running)
    }
    await Promise.all(open)
    open.clear()
    messages += server.messages.length
    server.messages.length = 0
  }
  await server.stop()
  await once(process, 'beforeExit')
  process.stdout.write(`${sessions} sessions, ${messages} messages, ${failures.length} failures\n`)
  for (const failure of failures) process.stdout.write(`${failure}\n`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

await main()
