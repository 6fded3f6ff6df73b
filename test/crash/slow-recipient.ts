// The recipient of a crash soak: an ordinary SMTP server with STARTTLS that outlives the gateway. It answers the
// final dot at once, or late, so that kills find mails in doubt, and enters each whole mail in the ledger.
import { SMTPServer } from 'smtp-server'
import { systemRandom } from '../../src/runtime/random.ts'
import { makeSelfSigned } from '../../src/trial/certificate.ts'
import type { Ledger } from './ledger.ts'
import type { Moment } from './moments.ts'
import { hashBody, numberOf } from './soak-mail.ts'

export interface SlowRecipient {
  readonly port: number
  /** Resolves at the next whole mail. */
  arrival(): Promise<void>
  /** No new transaction begins until the returned function is called: what is queued stays queued. */
  pause(): () => void
  stop(): Promise<void>
}

export interface SlowRecipientDeps {
  readonly ledger: Ledger
  readonly random: () => number
  /** Which life of the gateway a connection that opens now comes from. */
  readonly run: () => number
  readonly note: (moment: Moment) => void
}

const HEADER_END = '\r\n\r\n'

/** Half of the replies come at once, a third a little later, the rest late. */
function replyDelayMs(random: () => number): number {
  const kind = random()
  return kind < 0.5 ? 0 : kind < 0.85 ? random() * 30 : 50 + random() * 350
}

export async function startSlowRecipient(deps: SlowRecipientDeps): Promise<SlowRecipient> {
  const { ledger, random, note } = deps
  const pair = makeSelfSigned(['localhost'], { now: Date.now(), days: 10, random: systemRandom })
  const runs = new Map<string, number>()
  let arrived = Promise.withResolvers<void>()
  let open = Promise.resolve()

  const take = (content: Buffer, forwardPaths: readonly string[], run: number, answer: () => void): void => {
    const end = content.indexOf(HEADER_END)
    const copies = ledger.arrive({
      number: numberOf(content.toString('latin1', 0, end)),
      forwardPaths,
      bodyHash: hashBody(content.subarray(end + HEADER_END.length)),
      run,
    })
    const reply = (): void => {
      answer()
      for (const copy of copies) copy.answeredAt = performance.now()
      note('answered')
    }
    arrived.resolve()
    arrived = Promise.withResolvers()
    note('taken')
    const delayMs = replyDelayMs(random)
    if (delayMs === 0) reply()
    else setTimeout(reply, delayMs)
  }

  const server = new SMTPServer({
    name: 'recipient.test',
    authOptional: true,
    disabledCommands: ['AUTH'],
    disableReverseLookup: true,
    logger: false,
    minVersion: 'TLSv1.2',
    cert: pair.certificatePem,
    key: pair.keyPem,
    onConnect(session, done) {
      runs.set(session.id, deps.run())
      done()
    },
    onClose(session) {
      runs.delete(session.id)
    },
    onMailFrom(_address, _session, done) {
      void open.then(() => done())
    },
    onData(stream, session, done) {
      const run = runs.get(session.id) ?? 0
      const forwardPaths = session.envelope.rcptTo.map(({ address }) => address)
      const parts: Buffer[] = []
      stream.once('data', () => note('relayed'))
      stream.on('data', (part: Buffer) => parts.push(part))
      // Only a message with its final dot ends; one that breaks off is an error.
      stream.on('end', () => take(Buffer.concat(parts), forwardPaths, run, () => done(null, 'OK')))
      stream.on('error', () => done(new Error('the message broke off')))
    },
  })
  server.on('error', () => undefined) // a connection that a kill cut off
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const bound = server.server.address()
  if (bound === null || typeof bound === 'string') throw new Error('the recipient does not listen')
  return {
    port: bound.port,
    arrival: () => arrived.promise,
    pause() {
      const { promise, resolve } = Promise.withResolvers<void>()
      open = promise
      return resolve
    },
    stop: () =>
      new Promise((stopped) => {
        server.server.close(() => stopped())
        for (const connection of server.connections) connection._socket.destroy()
      }),
  }
}
