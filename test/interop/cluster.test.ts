// Three gateways as processes of their own on one PostgreSQL: one is killed, one is paused beyond its lease and
// wakes up again, each with deliveries under way. Every mail arrives exactly once.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createAuthority } from '../support/authority.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { requirePart } from '../support/parts.ts'
import { freePort } from '../support/ports.ts'
import { startPostgres } from '../support/postgres.ts'
import { type Recipient, startRecipient } from '../support/recipient-server.ts'
import { connectLoggedIn } from '../support/smtp-client.ts'

const postgres = requirePart('postgres')
const LOGIN = 'office'
const PASSWORD = 'correct horse battery'
const MAILS = 12
/** Beyond what is kept in the message's own transaction. */
const LARGE_OCTETS = 700_000

/** The way to the recipient, which lets nothing back while it is shut. */
async function startGate(address: string, port: number, recipient: Recipient) {
  const sockets = new Set<Socket>()
  let held: (() => void)[] | null = null
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect(recipient.port, recipient.address)
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
    near.pipe(far)
    const letBack = (): void => void far.pipe(near)
    if (held === null) letBack()
    else held.push(letBack)
  })
  server.listen(port, address)
  await once(server, 'listening')
  return {
    /** Connections that wait at the gate. */
    get waiting() {
      return held?.length ?? 0
    },
    shut() {
      held ??= []
    },
    open() {
      const waiting = held ?? []
      held = null
      for (const letBack of waiting) letBack()
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Sends `count` mails through the gateway, the first one large; each is accepted. */
async function send(gateway: Gateway, name: string, count: number): Promise<string[]> {
  const client = await connectLoggedIn(gateway.port, LOGIN, PASSWORD)
  const recipients: string[] = []
  for (let number = 0; number < count; number++) {
    const recipient = `${name}-${number}@recipient.test`
    assert.match((await client.command('MAIL FROM:<max@office.test>')) ?? '', /^250 /)
    assert.match((await client.command(`RCPT TO:<${recipient}>`)) ?? '', /^250 /)
    assert.match((await client.command('DATA')) ?? '', /^354 /)
    const filling = number === 0 ? `${'x'.repeat(98)}\r\n`.repeat(LARGE_OCTETS / 100) : ''
    const header = `From: max@office.test\r\nTo: ${recipient}\r\nSubject: ${name} ${number}\r\n`
    const reply = await client.command(`${header}\r\n${filling}Guten Tag ${name} ${number}\r\n.`)
    assert.match(reply ?? '', /^250 2\.0\.0 OK id=/)
    recipients.push(recipient)
  }
  client.close()
  return recipients
}

describe('O1: three gateways on one PostgreSQL', { skip: postgres.skip, timeout: 110_000 }, () => {
  const cleanUp: (() => Promise<unknown>)[] = []
  const gateways: Gateway[] = []
  let recipient: Recipient
  let gate: Awaited<ReturnType<typeof startGate>>

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'st-cluster-'))
    cleanUp.push(() => rm(directory, { recursive: true, force: true }))
    const authority = await createAuthority(directory)
    const { chain, key } = await authority.issue(['mx.recipient.test'])
    const tls = { certificate: await readFile(chain, 'utf8'), key: await readFile(key, 'utf8') }
    recipient = await startRecipient({ tls, hostname: 'mx.recipient.test' })
    cleanUp.push(() => recipient.stop())
    const port = await freePort('127.0.0.2')
    gate = await startGate('127.0.0.2', port, recipient)
    cleanUp.push(() => gate.stop())
    const dns = await startDnsServer({
      'office.test': { MX: ['10 mx.recipient.test'] },
      'recipient.test': { MX: ['10 mx.recipient.test'] },
      'mx.recipient.test': { A: ['127.0.0.2'] },
    })
    cleanUp.push(() => dns.stop())
    const server = await startPostgres()
    cleanUp.push(() => server.dispose())
    const url = await server.createDatabase()
    for (const nodeName of ['one', 'two', 'three']) {
      const gateway = await startGateway({
        yaml: `store: "${url}"
cluster: { nodeName: ${nodeName}, heartbeat: 250ms, fenceAfter: 1s, deadAfter: 2s }
dns: { resolvers: ["${dns.address}"] }
scanner: { kind: none }
delivery:
  port: ${port}
  allowedNetworks: [127.0.0.0/8]
  trustedCertificates: ["${authority.certificate}"]
notifications: { from: { address: postmaster@office.test } }`,
        // The others find the account in the database.
        accounts:
          nodeName === 'one'
            ? [{ name: 'Office', domains: ['office.test'], login: LOGIN, password: PASSWORD }]
            : [],
      })
      cleanUp.push(() => gateway.dispose())
      gateways.push(gateway)
    }
  })
  after(async () => {
    for (const step of cleanUp.reverse()) await step()
  })

  /** All mails to these, each exactly once, each whole. */
  const assertOnce = (expected: readonly string[]): void => {
    const arrived = recipient.received.flatMap(({ forwardPaths }) => forwardPaths)
    assert.deepEqual(arrived.toSorted(), expected.toSorted())
    for (const { content, forwardPaths } of recipient.received) {
      const [name = '', number = ''] = (forwardPaths[0] ?? '').split(/[-@]/)
      const text = content.toString('latin1')
      assert.ok(text.endsWith(`Guten Tag ${name} ${number}\r\n`), `${forwardPaths} has its end`)
      if (number === '0') assert.ok(text.length > LARGE_OCTETS)
    }
  }

  test('one is killed, one paused beyond its lease and resumed: every mail arrives exactly once', async () => {
    const [killed, paused, surviving] = gateways
    assert.ok(killed && paused && surviving)
    gate.shut()
    const sent = await Promise.all(
      [killed, paused, surviving].map((gateway, index) =>
        send(gateway, ['one', 'two', 'three'][index] ?? '', MAILS),
      ),
    )
    assert.ok(gate.waiting >= 3, 'each has a delivery under way')
    await killed.kill()
    process.kill(paused.pid, 'SIGSTOP')
    gate.open()
    await recipient.mails(3 * MAILS)
    const dead = surviving.events.filter(({ event }) => event === 'cluster.node-dead').map(({ node }) => node)
    assert.deepEqual(dead.toSorted(), ['one', 'two'])

    process.kill(paused.pid, 'SIGCONT')
    await paused.event(({ event }) => event === 'cluster.lease-lost')
    await paused.event(({ event, stage }) => event === 'delivery.fenced' && stage === 'send')
    await killed.restart()
    // Whatever the resumed one still had in hand is over when what came after it has arrived.
    const more = await Promise.all(
      [killed, paused, surviving].map((gateway, index) =>
        send(gateway, ['four', 'five', 'six'][index] ?? '', MAILS),
      ),
    )
    await recipient.mails(6 * MAILS)
    for (const gateway of gateways) assert.equal(await gateway.stop(), 0)
    assertOnce([...sent, ...more].flat())
  })
})
