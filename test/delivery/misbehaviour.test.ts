// Threats "wire, outwards": next hops that do not behave. Each ends within its deadline, nothing is lost,
// nothing is sent twice without need, and the next mail is not affected.
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Action, RecipientOptions, Step } from '../support/recipient-server.ts'
import { certificate, createWorld, newMessage, ONE_MX, TWO_MX, until } from './harness.ts'

const QUICK = {
  connectionIdle: '50ms',
  timeouts: { connect: '1s', greeting: '1s', handshake: '1s', command: '1s', data: '1s', finalDot: '1s' },
}
const underTls = (verb: string, action: Action) => (step: Step) =>
  step.at === verb && (step.isTls || verb === 'greeting') ? action : undefined

const cases: readonly [
  name: string,
  script: NonNullable<RecipientOptions['script']>,
  outcome: string,
  detail: RegExp,
][] = [
  [
    'no greeting',
    underTls('greeting', 'hang'),
    'deferred 4.4.2 connection-trouble',
    /no greeting within 1 s/,
  ],
  [
    'a greeting dripped for ever',
    underTls('greeting', { drip: '220-x\r\n', everyMs: 20 }),
    'deferred 4.4.2 connection-trouble',
    /no greeting within 1 s/,
  ],
  [
    'a greeting without end',
    underTls('greeting', { raw: '220-x\r\n'.repeat(500), next: 'hang' }),
    'deferred 4.5.0 recipient-trouble',
    /too many lines/,
  ],
  [
    'a line without end',
    underTls('greeting', { raw: 'x'.repeat(100_000), next: 'hang' }),
    'deferred 4.5.0 recipient-trouble',
    /line too long/,
  ],
  [
    'a greeting that refuses',
    underTls('greeting', '554 5.7.1 go away\r\n'),
    'deferred 4.3.0 policy',
    /answered the connection with 554/,
  ],
  [
    'a peer that hangs up at once',
    underTls('greeting', 'close'),
    'deferred 4.4.2 connection-trouble',
    /closed by the peer/,
  ],
  [
    'EHLO dripped under TLS',
    underTls('EHLO', { drip: '250-x\r\n', everyMs: 20 }),
    'deferred 4.4.2 connection-trouble',
    /no reply to EHLO within 1 s/,
  ],
  [
    'EHLO refused under TLS',
    underTls('EHLO', '502 no\r\n'),
    'deferred 4.3.0 unknown',
    /answered EHLO with 502/,
  ],
  [
    'another protocol',
    underTls('greeting', 'SSH-2.0-OpenSSH\r\n'),
    'deferred 4.5.0 recipient-trouble',
    /does not speak SMTP/,
  ],
  [
    '250 to DATA',
    underTls('DATA', '250 2.0.0 sure\r\n'),
    'deferred 4.5.0 recipient-trouble',
    /answered DATA with 250 instead of 354/,
  ],
  [
    'an acceptance before the message was sent',
    underTls('DATA', { raw: '354 go\r\n250 2.0.0 got it\r\n', next: 'hang' }),
    'deferred 4.5.0 recipient-trouble',
    /said more than 354/,
  ],
  ['closed at MAIL', underTls('MAIL', 'reset'), 'deferred 4.4.2 connection-trouble', /reset by the peer/],
  [
    'closed within the message',
    underTls('content', 'reset'),
    'deferred 4.4.2 connection-trouble',
    /reset by the peer/,
  ],
  [
    'a refusal that goes on as another dialogue',
    underTls('RCPT', '550 5.1.1 no\r\n250 what\r\n'),
    'failed 5.1.1 address-unknown',
    /RCPT with 550/,
  ],
  [
    'terminal escapes in a refusal',
    underTls('RCPT', '550 5.1.1 \u001b]0;pwned\u0007\u202e no\r\n'),
    'failed 5.1.1 address-unknown',
    /RCPT with 550/,
  ],
  [
    '421 in the middle',
    underTls('RCPT', '421 4.3.2 closing\r\n'),
    'deferred 4.3.2 recipient-trouble',
    /RCPT with 421/,
  ],
]
for (const [name, script, outcome, detail] of cases) {
  test(`wire outwards: ${name}`, async (t) => {
    const world = await createWorld(t, { zone: ONE_MX, settings: QUICK })
    const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
    await world.send(newMessage())
    await world.queue.whenSettled(1)
    assert.deepEqual(world.outcomes(), [outcome])
    assert.match(String(world.queue.entries[0]?.facts['detail']), detail)
    assert.doesNotMatch(JSON.stringify(world.queue.entries), /\\u00(?:0|1|7f)|\u202e/)
    assert.equal(recipient.messages, 0)
    await recipient.allClosed()
    await until(() => world.delivery.activity().openConnections === 0)
  })
}

test('wire outwards: a refused connection', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX, settings: QUICK })
  await world.send(newMessage())
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['deferred 4.4.1 connection-trouble'])
  assert.equal(world.queue.entries[0]?.facts['detail'], 'The connection was refused (ECONNREFUSED).')
})

for (const action of ['reset', 'hang'] as const) {
  test(`wire outwards: ${action} after the final dot is in doubt; no other host is tried`, async (t) => {
    const world = await createWorld(t, { zone: TWO_MX, settings: QUICK })
    await world.recipient('127.0.0.11', { tls: certificate, script: underTls('dot', action) })
    const second = await world.recipient('127.0.0.12', { tls: certificate })
    const message = newMessage()
    await world.send(message)
    await world.queue.whenSettled(1)
    assert.deepEqual(world.outcomes(), ['deferred 4.4.2 connection-trouble'])
    assert.match(String(world.queue.entries[0]?.facts['detail']), /whether it arrived is in doubt/)
    assert.equal(second.connections, 0)
    const doubts = world.events.filter((event) => event.name === 'delivery.in-doubt')
    assert.deepEqual(
      doubts.map((event) => event.fields),
      [{ message: message.meta.id, forwardPath: 'max@recipient.test', mxHost: 'mx.recipient.test' }],
    )
  })
}

for (const at of ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'content']) {
  test(`T7: a host that breaks at ${at} sends the mail to the next host, once`, async (t) => {
    const world = await createWorld(t, { zone: TWO_MX, settings: QUICK })
    const first = await world.recipient('127.0.0.11', { tls: certificate, script: underTls(at, 'reset') })
    const second = await world.recipient('127.0.0.12', { tls: certificate })
    // So large that the connection breaks before its final dot can have left.
    await world.send(newMessage({ body: [Buffer.from(`\r\n${`${'x'.repeat(70)}\r\n`.repeat(60_000)}`)] }))
    await world.queue.whenSettled(1)
    assert.deepEqual(world.outcomes(), ['delivered'])
    assert.deepEqual([first.messages, second.messages], [0, 1])
  })
}

test('a refusal in the middle of a large message is heard although the peer reads no further', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX, settings: QUICK })
  const script = underTls('content', { raw: '552 5.3.4 message too large\r\n', next: 'hang' })
  await world.recipient('127.0.0.11', { tls: certificate, script })
  const line = Buffer.from(`${'x'.repeat(70)}\r\n`.repeat(14_000))
  await world.send(newMessage({ body: [Buffer.from('\r\n'), ...Array.from({ length: 8 }, () => line)] }))
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['failed 5.3.4 message-too-large'])
})

test('T7: a slow destination does not hold up another', async (t) => {
  const world = await createWorld(t, {
    zone: {
      mx: { 'recipient.test': ['10 mx.recipient.test'], 'slow.test': ['10 mx2.recipient.test'] },
      a: { 'mx.recipient.test': ['127.0.0.11'], 'mx2.recipient.test': ['127.0.0.12'] },
    },
    settings: { sessionsMax: 5, sessionsPerDestinationMax: 3 },
  })
  const fast = await world.recipient('127.0.0.11', { tls: certificate })
  await world.recipient('127.0.0.12', { tls: certificate, script: underTls('MAIL', 'hang') })
  for (let index = 0; index < 20; index++) await world.send(newMessage({ to: [`m${index}@slow.test`] }))
  for (let index = 0; index < 20; index++) await world.send(newMessage())
  await fast.mails(20)
  // What is left is the slow one, with no more than its window.
  await until(() => world.delivery.activity().running === 2)
})

test('T9: an MX record that points to this machine is not followed', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX, allowedNetworks: [] })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.send(newMessage())
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['failed 5.4.4 address-not-allowed'])
  assert.equal(recipient.connections, 0)
})
