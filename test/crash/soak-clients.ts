// The customers of a crash soak: several connections that submit numbered mails, one after the other, until the
// gateway dies or they are told to stop. A mail whose 250 was not read is not repeated: the next has a new number.
import { connectLoggedIn, type SmtpClient } from '../support/smtp-client.ts'
import type { Ledger } from './ledger.ts'
import type { Moment } from './moments.ts'
import { type SoakMail, soakMail } from './soak-mail.ts'

export interface ClientsDeps {
  readonly ledger: Ledger
  readonly note: (moment: Moment) => void
  /** Resolves when the recipient got something. */
  readonly arrival: () => Promise<void>
  readonly nextNumber: () => number
}

export interface ClientsOrder {
  readonly seed: number
  readonly port: number
  readonly login: string
  readonly password: string
  readonly clients: number
}

export interface Load {
  /** No new mails; those under way are finished. */
  stop(): void
  /** The gateway is dead and what it said was read: nothing more comes. */
  cut(): void
  /** Resolves when every client has ended. */
  readonly ended: Promise<void>
}

/** Promised deliveries on their way beyond which the clients wait. */
const OUTSTANDING_MAX = 200

export function startClients(deps: ClientsDeps, order: ClientsOrder): Load {
  const cut = Promise.withResolvers<void>()
  const connections = new Set<SmtpClient>()
  let isStopped = false

  const runClient = async (): Promise<void> => {
    const client = await connectLoggedIn(order.port, order.login, order.password)
    connections.add(client)
    try {
      while (!isStopped) {
        if (deps.ledger.outstanding > OUTSTANDING_MAX) await deps.arrival()
        else await submit(deps, client, soakMail(order.seed, deps.nextNumber()))
      }
    } finally {
      client.close()
    }
  }
  // The kill ends a client in any step; what is not a refusal needs no report.
  const clients = Array.from({ length: order.clients }, () => runClient().catch(() => undefined))
  return {
    stop() {
      isStopped = true
    },
    cut() {
      isStopped = true
      for (const client of connections) client.close()
      cut.resolve()
    },
    ended: Promise.race([Promise.all(clients), cut.promise]).then(() => undefined),
  }
}

/** One transaction; throws when the connection is of no use after it. */
async function submit({ ledger, note }: ClientsDeps, client: SmtpClient, mail: SoakMail): Promise<void> {
  const { number, reversePath, forwardPaths, wire } = mail
  ledger.begin(mail)
  const commands = [`MAIL FROM:<${reversePath}>`, ...forwardPaths.map((path) => `RCPT TO:<${path}>`), 'DATA']
  client.write(commands.map((command) => `${command}\r\n`).join(''))
  for (const command of commands) {
    const reply = await client.reply()
    if (reply?.startsWith(command === 'DATA' ? '354' : '250')) continue
    if (reply !== null) ledger.refuse(number, reply)
    throw new Error('the mail was not taken')
  }
  const half = wire.length >> 1
  client.write(wire.subarray(0, half))
  note('content')
  client.write(wire.subarray(half))
  client.write('.\r\n')
  note('dot')
  const reply = await client.reply()
  const queueId = /^250 .* id=(\S+)$/.exec(reply ?? '')?.[1]
  if (queueId === undefined) {
    if (reply !== null) ledger.refuse(number, reply)
    throw new Error('the mail was not acknowledged')
  }
  ledger.accept(number, queueId)
  note('acknowledged')
}
