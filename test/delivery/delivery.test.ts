// The main way: claims go out over TLS, in few connections, with a result for each recipient.
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { RecipientDsn } from '../../src/smtp/dsn-parameters.ts'
import type { Step } from '../support/recipient-server.ts'
import {
  ARRIVES,
  certificate,
  createWorld,
  HEADER,
  mailbox,
  newMessage,
  ONE_MX,
  TWO_MX,
  until,
} from './harness.ts'

const MARK = 'X-secureTransport-forwarded: yes\r\n'

test('T1 M6: a mail travels over TLS 1.3 with the post-quantum group and is marked as forwarded', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.send(newMessage())
  const [settlement] = await world.queue.whenSettled(1)
  assert.equal(settlement?.kind, 'done')
  const [mail] = await recipient.mails(1)
  assert.equal(mail?.content.toString(), MARK + ARRIVES)
  assert.equal(mail?.reversePath, 'anna@customer.test')
  assert.deepEqual(mail?.forwardPaths, ['max@recipient.test'])
  assert.deepEqual(mail?.tls, {
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    resumed: false,
    servername: 'mx.recipient.test',
  })
  const delivered = world.events.find((event) => event.name === 'delivery.delivered')
  assert.equal(delivered?.fields['tlsGroup'], 'X25519MLKEM768')
  assert.equal(delivered?.fields['authenticatedBy'], 'pkix')
  assert.equal(delivered?.fields['levelReached'], 'verify')
  assert.equal(delivered?.fields['reply'], '250 2.0.0 OK id=1-1')
})

test('M6: a mail that did not come to us over TLS is not marked', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.send(newMessage({ meta: { receivedOverTls: false } }))
  const [mail] = await recipient.mails(1)
  assert.equal(mail?.content.toString(), ARRIVES)
})

test('T8: mails to one domain share a connection; a later connection resumes the TLS session', async (t) => {
  const world = await createWorld(t, {
    zone: ONE_MX,
    settings: { messagesPerConnection: 3, sessionsPerDestinationMax: 1 },
  })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  for (let sent = 1; sent <= 5; sent++) {
    await world.send(newMessage())
    await world.queue.whenSettled(sent)
  }
  const mails = await recipient.mails(5)
  assert.deepEqual(
    mails.map((mail) => [mail.connection, mail.mailOnConnection, mail.tls?.resumed]),
    [
      [1, 1, false],
      [1, 2, false],
      [1, 3, false],
      [2, 1, true],
      [2, 2, true],
    ],
  )
  const last = world.events.findLast((event) => event.name === 'delivery.delivered')
  assert.equal(last?.fields['authenticatedBy'], 'pkix', 'judged on the resumed session as well')
})

test('T8: an idle connection that the peer closed costs a new connection, not an attempt', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  let closing = true
  const script = ({ at, mails }: Step) => {
    // On the second MAIL of the first connection: gone, as if it had been closed a moment before.
    if (at !== 'MAIL' || mails === 0 || !closing) return undefined
    closing = false
    return 'reset'
  }
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage())
  await world.queue.whenSettled(1)
  await world.send(newMessage())
  await world.queue.whenSettled(2)
  assert.deepEqual(world.outcomes(), ['delivered', 'delivered'])
  assert.equal(recipient.connections, 2)
})

test('T8: recipients of one domain go in one transaction, other domains in their own', async (t) => {
  const world = await createWorld(t, {
    zone: {
      mx: { 'recipient.test': ['10 mx.recipient.test'], 'other.test': ['10 mx2.recipient.test'] },
      a: { 'mx.recipient.test': ['127.0.0.11'], 'mx2.recipient.test': ['127.0.0.12'] },
    },
  })
  const first = await world.recipient('127.0.0.11', { tls: certificate })
  const second = await world.recipient('127.0.0.12', { tls: certificate })
  await world.send(newMessage({ to: ['a@recipient.test', 'x@other.test', 'b@recipient.test'] }))
  await world.queue.whenSettled(3)
  assert.deepEqual(
    [...first.received, ...second.received].map((mail) => mail.forwardPaths),
    [['a@recipient.test', 'b@recipient.test'], ['x@other.test']],
  )
})

for (const extensions of [['PIPELINING', '8BITMIME'], ['8BITMIME']]) {
  test(`T8: each recipient has its own result, ${extensions.length > 1 ? 'pipelined' : 'step by step'}`, async (t) => {
    const world = await createWorld(t, { zone: ONE_MX })
    const script = ({ at, line }: Step) => {
      if (at !== 'RCPT') return undefined
      if (line.includes('gone@')) return '550 5.1.1 no such user\r\n'
      return line.includes('full@') ? '452 4.2.2 mailbox full\r\n' : undefined
    }
    const recipient = await world.recipient('127.0.0.11', { tls: certificate, extensions, script })
    await world.send(newMessage({ to: ['a@recipient.test', 'gone@recipient.test', 'full@recipient.test'] }))
    await world.queue.whenSettled(3)
    assert.deepEqual(world.outcomes(), [
      'delivered',
      'failed 5.1.1 address-unknown',
      'deferred 4.2.2 mailbox-full',
    ])
    assert.deepEqual(recipient.received[0]?.forwardPaths, ['a@recipient.test'])
    assert.deepEqual(
      world.notices.map((notice) => [notice.kind, notice.items.map((item) => item.claim.index)]),
      [['failed', [1]]],
    )
  })
}

test('T8: when every recipient is refused the session lives on, also after a 354', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const script = ({ at, line }: Step) => {
    if (at === 'RCPT' && line.includes('gone@')) return '550 5.1.1 no such user\r\n'
    // A server that answers 354 although it has nobody to deliver to (RFC 2920 §3.1).
    return at === 'DATA' && line === 'DATA' && refused() ? '354 go on then\r\n' : undefined
  }
  const refused = (): boolean => recipient.commands.at(-2)?.includes('gone@') ?? false
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage({ to: ['gone@recipient.test'] }))
  await world.queue.whenSettled(1)
  await world.send(newMessage())
  await world.queue.whenSettled(2)
  assert.deepEqual(world.outcomes(), ['failed 5.1.1 address-unknown', 'delivered'])
  assert.equal(recipient.connections, 1)
  assert.equal(recipient.messages, 1)
})

test('T8: after a refused transaction the next one begins with RSET on the same connection', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const script = ({ at, line }: Step) =>
    at === 'RCPT' && line.includes('gone@') ? '550 5.1.1 no such user\r\n' : undefined
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage({ to: ['gone@recipient.test'] }))
  await world.queue.whenSettled(1)
  await world.send(newMessage())
  await world.queue.whenSettled(2)
  assert.equal(recipient.connections, 1)
  assert.deepEqual(
    recipient.commands.map((line) => line.slice(0, 4)),
    ['EHLO', 'STAR', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'RSET', 'MAIL', 'RCPT', 'DATA'],
  )
})

test('M3: a large mail arrives octet by octet, whatever the chunks of the store', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  const line = `${'0123456789'.repeat(7)}\r\n`
  const text = Buffer.from(`\r\n${line.repeat(40_000)}`)
  const chunks: Buffer[] = []
  for (let at = 0, size = 1; at < text.length; at += size, size = (size * 7 + 3) % 65_537) {
    chunks.push(text.subarray(at, at + size))
  }
  const message = newMessage({ body: chunks })
  const stored = { ...message, body: { ...message.body, inMemory: null } }
  world.queue.bodies.set(message.meta.id, chunks)
  await world.send(message)
  await world.send({ ...stored, meta: { ...stored.meta, id: 'from-store' } })
  world.queue.bodies.set('from-store', chunks)
  const mails = await recipient.mails(2)
  for (const mail of mails)
    assert.equal(mail.content.equals(Buffer.concat([Buffer.from(MARK + HEADER), text])), true)
})

test('a stored body that is too short is never ended by a dot and is reported', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  const message = newMessage()
  world.queue.bodies.set(message.meta.id, [Buffer.from('\r\nhalf a l')])
  await world.send({ ...message, body: { ...message.body, inMemory: null } })
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['deferred 4.3.0 local-fault'])
  assert.equal(recipient.messages, 0)
  assert.equal(
    world.events.some((event) => event.name === 'queue.damaged'),
    true,
  )
})

test('a header without body arrives', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.send(newMessage({ body: [] }))
  const [mail] = await recipient.mails(1)
  assert.equal(mail?.content.toString(), MARK + HEADER)
})

const ASKED: RecipientDsn = { notify: ['success', 'failure'], orcpt: 'rfc822;max+2Bx@old.test' }
const ENVELOPE = { dsn: { ret: 'headers', envid: 'QQ+2B1' } } as const

test('N3: DSN parameters are passed on raw where the hop offers DSN, and success is reported', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const extensions = ['PIPELINING', 'SIZE', 'DSN']
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, extensions })
  const message = newMessage({ dsn: ASKED, envelope: ENVELOPE })
  await world.send(message)
  await world.queue.whenSettled(1)
  const size = MARK.length + message.meta.sizeBytes
  assert.equal(
    recipient.received[0]?.mailCommand,
    `MAIL FROM:<anna@customer.test> SIZE=${size} RET=HDRS ENVID=QQ+2B1`,
  )
  assert.deepEqual(recipient.received[0]?.rcptCommands, [
    'RCPT TO:<max@recipient.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;max+2Bx@old.test',
  ])
  const [notice] = world.notices
  assert.equal(notice?.kind, 'relayed')
  const outcome = notice?.items[0]?.outcome
  assert.equal(outcome?.kind === 'delivered' && outcome.dsnPassedOn, true)
})

test('N3: DSN parameters stay here where the hop offers no DSN', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, extensions: ['PIPELINING'] })
  await world.send(newMessage({ dsn: ASKED, envelope: ENVELOPE }))
  await world.queue.whenSettled(1)
  assert.equal(recipient.received[0]?.mailCommand, 'MAIL FROM:<anna@customer.test>')
  assert.deepEqual(recipient.received[0]?.rcptCommands, ['RCPT TO:<max@recipient.test>'])
  const outcome = world.notices[0]?.items[0]?.outcome
  assert.equal(outcome?.kind === 'delivered' && outcome.dsnPassedOn, false)
})

const UTF8_SENDER = { reversePath: mailbox('jürgen@customer.test'), smtpUtf8: true }
const gates: readonly [
  name: string,
  extensions: readonly string[],
  message: Parameters<typeof newMessage>[0],
  outcomes: readonly string[],
][] = [
  [
    '8-bit body, no 8BITMIME',
    ['PIPELINING'],
    { meta: { eightBit: true } },
    ['failed 5.6.3 conversion-needed'],
  ],
  [
    'UTF-8 header, no SMTPUTF8',
    ['8BITMIME'],
    { meta: { headerUtf8: true } },
    ['failed 5.6.7 conversion-needed'],
  ],
  [
    'UTF-8 reverse-path, no SMTPUTF8',
    ['8BITMIME'],
    { envelope: UTF8_SENDER },
    ['failed 5.6.7 conversion-needed'],
  ],
  [
    'UTF-8 forward-path, no SMTPUTF8: only that recipient',
    ['8BITMIME'],
    { to: ['jürgen@recipient.test', 'max@recipient.test'], envelope: { smtpUtf8: true } },
    ['failed 5.6.7 conversion-needed', 'delivered'],
  ],
  [
    'SMTPUTF8 without 8BITMIME is no offer',
    ['SMTPUTF8'],
    { meta: { headerUtf8: true } },
    ['failed 5.6.7 conversion-needed'],
  ],
  ['larger than SIZE', ['SIZE 50'], {}, ['failed 5.3.4 message-too-large']],
  ['SIZE without a limit', ['SIZE 0'], {}, ['delivered']],
  [
    'REQUIRETLS towards a host that is not authenticated',
    ['REQUIRETLS'],
    { envelope: { requireTls: true } },
    ['deferred 4.7.5 peer-not-authenticated'],
  ],
  [
    'everything offered',
    ['8BITMIME', 'SMTPUTF8', 'SIZE 100000'],
    { meta: { eightBit: true, headerUtf8: true }, envelope: UTF8_SENDER },
    ['delivered'],
  ],
]
for (const [name, extensions, message, outcomes] of gates) {
  test(`S11: ${name}`, async (t) => {
    const world = await createWorld(t, { zone: TWO_MX })
    await world.recipient('127.0.0.11', { tls: certificate, extensions })
    await world.recipient('127.0.0.12', { tls: certificate, extensions })
    await world.send(newMessage(message))
    await world.queue.whenSettled(outcomes.length)
    assert.deepEqual(world.outcomes(), outcomes)
  })
}

test('S11: what is offered and needed is declared', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', {
    tls: certificate,
    extensions: ['8BITMIME', 'SMTPUTF8'],
  })
  await world.send(
    newMessage({ to: ['müller@recipient.test'], meta: { eightBit: true }, envelope: UTF8_SENDER }),
  )
  await world.queue.whenSettled(1)
  assert.equal(recipient.received[0]?.mailCommand, 'MAIL FROM:<jürgen@customer.test> BODY=8BITMIME SMTPUTF8')
  assert.deepEqual(recipient.received[0]?.forwardPaths, ['müller@recipient.test'])
})

test('O2: drain finishes what runs, gives back what waits, and takes nothing more', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX, settings: { sessionsPerDestinationMax: 1 } })
  let started: () => void = () => {}
  const atDot = new Promise<void>((resolve) => {
    started = resolve
  })
  const script = ({ at }: Step) => {
    if (at === 'dot') started()
    return undefined
  }
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  const [one, two, three] = [newMessage(), newMessage(), newMessage()]
  await world.send(one)
  await world.send(two)
  await atDot
  await world.delivery.drain(5000)
  await world.send(three)
  await recipient.allClosed()
  assert.equal(recipient.messages, 1)
  assert.deepEqual(
    world.queue.releases.map((claim) => claim.message.id),
    [two.meta.id, three.meta.id],
  )
  assert.deepEqual(await world.queue.counts(), { waiting: 2, active: 0, held: 0 })
})

test('O2: stop cuts off what hangs and gives it back untouched', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  let hangs: () => void = () => {}
  const hung = new Promise<void>((resolve) => {
    hangs = resolve
  })
  const script = ({ at }: Step) => {
    if (at !== 'MAIL') return undefined
    hangs()
    return 'hang' as const
  }
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage())
  await hung
  await world.delivery.stop()
  await recipient.allClosed()
  assert.deepEqual(world.outcomes(), [])
  assert.equal(world.queue.releases.length, 1)
  assert.equal(world.delivery.activity().openConnections, 0)
})

test('a store that cannot take results is asked again until it can; nothing is sent twice', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  world.queue.settleFault = new Error('database away')
  await world.send(newMessage())
  await recipient.mails(1)
  await until(() => world.delivery.activity().unsettled > 0)
  world.queue.settleFault = null
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['delivered'])
  assert.equal(recipient.messages, 1)
})
