// Product rows T1 and T2, and the threats "wire, outwards": what a next hop without usable TLS gets.
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { partnerSettings } from '../../src/delivery/settings.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import type { RecipientOptions, Step } from '../support/recipient-server.ts'
import { ARRIVES, authority, certificate, createWorld, newMessage, ONE_MX, TWO_MX } from './harness.ts'

const CONTENT = /^(?:MAIL|RCPT|DATA)/
const at =
  (
    step: string,
    action: NonNullable<RecipientOptions['script']> extends (step: Step) => infer A ? A : never,
  ) =>
  (taken: Step) =>
    taken.at === step && !taken.isTls ? action : undefined
const REFUSED = at('STARTTLS', '454 4.7.0 TLS not available\r\n')
const SHORT = {
  timeouts: { connect: '5s', greeting: '5s', handshake: '1s', command: '5s', data: '5s', finalDot: '5s' },
}

const noTls: readonly [name: string, options: RecipientOptions, status: string, detail: string][] = [
  [
    'STARTTLS is not offered, or stripped on the way',
    { tls: null },
    '4.7.10',
    'The host does not offer STARTTLS.',
  ],
  [
    'EHLO is unknown',
    { tls: certificate, script: at('EHLO', '502 5.5.1 what?\r\n') },
    '4.7.10',
    'The host does not offer STARTTLS.',
  ],
  [
    'STARTTLS is refused',
    { tls: certificate, script: REFUSED },
    '4.7.10',
    'The host offers STARTTLS and then refuses it.',
  ],
  [
    'octets are injected behind the reply to STARTTLS',
    { tls: certificate, script: at('STARTTLS', { raw: '220 go\r\n250 injected\r\n', next: 'hang' }) },
    '4.7.5',
    'The peer sent data between its reply to STARTTLS and the handshake.',
  ],
  [
    'the handshake is answered with rubbish',
    { tls: certificate, script: at('handshake', { raw: 'rubbish, and not little of it\r\n', next: 'hang' }) },
    '4.7.5',
    'The TLS handshake failed (ERR_SSL_WRONG_VERSION_NUMBER).',
  ],
  [
    'the handshake is reset',
    { tls: certificate, script: at('handshake', 'reset') },
    '4.7.5',
    'The peer reset the connection during the TLS handshake.',
  ],
  [
    'the handshake hangs',
    { tls: certificate, script: at('handshake', 'hang') },
    '4.7.5',
    'The TLS handshake took longer than 1 s.',
  ],
  [
    'there is only TLS 1.1',
    { tls: certificate, tlsVersions: { min: 'TLSv1', max: 'TLSv1.1' }, ciphers: 'DEFAULT:@SECLEVEL=0' },
    '4.7.5',
    'The peer offers no TLS version from 1.2 on (ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION).',
  ],
  [
    'there is only CBC',
    {
      tls: certificate,
      tlsVersions: { min: 'TLSv1.2', max: 'TLSv1.2' },
      ciphers: 'ECDHE-ECDSA-AES128-SHA256',
    },
    '4.7.5',
    'The TLS handshake failed (ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE).',
  ],
]

for (const [name, options, status, detail] of noTls) {
  test(`T1: ${name}: nothing is handed over, no encrypted path`, async (t) => {
    const world = await createWorld(t, { zone: ONE_MX, settings: SHORT })
    const recipient = await world.recipient('127.0.0.11', options)
    await world.send(newMessage())
    await world.queue.whenSettled(1)
    assert.deepEqual(world.outcomes(), [`deferred ${status} no-encrypted-path`])
    assert.equal(world.queue.entries[0]?.facts['detail'], detail)
    assert.equal(recipient.messages, 0)
    assert.deepEqual(
      recipient.commands.filter((line) => CONTENT.test(line)),
      [],
    )
  })

  test(`T2: ${name}: with a permit TLS is tried first, then the mail goes in the clear`, async (t) => {
    const world = await createWorld(t, { zone: ONE_MX, settings: SHORT })
    const recipient = await world.recipient('127.0.0.11', options)
    await world.send(newMessage({ meta: { permit: 'subject-tag' } }))
    await world.queue.whenSettled(1)
    if (name.startsWith('octets are injected')) {
      // Somebody is on the line: not even a permit makes that a path.
      assert.deepEqual(world.outcomes(), [`deferred ${status} no-encrypted-path`])
      assert.equal(recipient.messages, 0)
      return
    }
    assert.deepEqual(world.outcomes(), ['delivered'])
    assert.equal(recipient.received[0]?.content.toString(), ARRIVES, 'not marked as forwarded securely')
    assert.equal(recipient.received[0]?.tls, null)
    const facts = world.queue.entries[0]?.facts
    assert.deepEqual([facts?.['transport'], facts?.['permit']], ['cleartext', 'subject-tag'])
    if (options.tls !== null && name !== 'EHLO is unknown') assert(recipient.commands.includes('STARTTLS'))
  })
}

test('T2: with a permit a hop that offers TLS gets the mail over TLS', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.send(newMessage({ meta: { permit: 'x-klartext' } }))
  const [mail] = await recipient.mails(1)
  assert.equal(mail?.tls?.protocol, 'TLSv1.3')
})

test('T2: a connection in the clear is not kept for the next mail', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: null })
  await world.send(newMessage({ meta: { permit: 'subject-tag' } }))
  await world.queue.whenSettled(1)
  await world.send(newMessage({ meta: { permit: 'x-klartext' } }))
  await world.queue.whenSettled(2)
  await world.send(newMessage())
  await world.queue.whenSettled(3)
  assert.deepEqual(world.outcomes(), ['delivered', 'delivered', 'deferred 4.7.10 no-encrypted-path'])
  assert.deepEqual(
    recipient.received.map((mail) => mail.connection),
    [1, 2],
  )
  assert.equal(world.queue.entries[1]?.facts['permit'], 'x-klartext', 'each under its own permit')
})

test('M5: REQUIRETLS outranks the permit at a hop without TLS', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: null })
  await world.send(newMessage({ meta: { permit: 'subject-tag' }, envelope: { requireTls: true } }))
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['deferred 4.7.10 no-encrypted-path'])
  assert.equal(recipient.messages, 0)
})

test('T1: the second MX host with TLS gets the mail when the first has none', async (t) => {
  const world = await createWorld(t, { zone: TWO_MX })
  const first = await world.recipient('127.0.0.11', { tls: null })
  const second = await world.recipient('127.0.0.12', { tls: certificate })
  await world.send(newMessage())
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['delivered'])
  assert.deepEqual([first.messages, second.messages], [0, 1])
})

test('T1: a host with TLS that says 4xx wins over one without TLS: the mail waits on the long schedule', async (t) => {
  const world = await createWorld(t, { zone: TWO_MX })
  await world.recipient('127.0.0.11', {
    tls: certificate,
    script: ({ at }) => (at === 'MAIL' ? '451 4.3.0 later\r\n' : undefined),
  })
  await world.recipient('127.0.0.12', { tls: null })
  await world.send(newMessage())
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['deferred 4.3.0 recipient-trouble'])
})

test('T3: a peer that breaks on the large ClientHello is tried again with a small one, still under TLS', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const script = ({ at, connection }: Step) => (at === 'handshake' && connection === 1 ? 'reset' : undefined)
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage({ meta: { permit: 'subject-tag' } }))
  const [mail] = await recipient.mails(1)
  assert.equal(mail?.tls?.protocol, 'TLSv1.3')
  await world.queue.whenSettled(1)
  assert.equal(world.queue.entries[0]?.facts['tlsGroup'], 'X25519')
})

const strangers = createCertificateAuthority('Somebody else')
const certificates: readonly [name: string, options: RecipientOptions, encrypt: string, verify: string][] = [
  ['a good certificate', { tls: certificate }, 'delivered pkix', 'delivered pkix'],
  [
    'an unknown authority',
    { tls: strangers.issue(['mx.recipient.test']) },
    'delivered none',
    'deferred peer-not-authenticated',
  ],
  [
    'another name',
    { tls: authority.issue(['mx.elsewhere.test']) },
    'delivered none',
    'deferred peer-not-authenticated',
  ],
  [
    'an expired certificate',
    { tls: authority.issue(['mx.recipient.test'], { from: Date.now() - 9e8, until: Date.now() - 1e8 }) },
    'delivered none',
    'deferred peer-not-authenticated',
  ],
  [
    'a good certificate with TLS 1.2',
    { tls: certificate, tlsVersions: { min: 'TLSv1.2', max: 'TLSv1.2' } },
    'delivered pkix',
    'delivered pkix',
  ],
]
for (const [name, options, encrypt, verify] of certificates) {
  for (const [level, expected] of [
    ['encrypt', encrypt],
    ['verify', verify],
  ]) {
    test(`T4: ${name} at level ${level}: ${expected}`, async (t) => {
      const world = await createWorld(t, {
        zone: ONE_MX,
        settings: { security: level, messagesPerConnection: 1 },
      })
      await world.recipient('127.0.0.11', options)
      // Twice: the second time the TLS session is resumed, and must be judged alike.
      for (const round of [1, 2]) {
        await world.send(newMessage())
        await world.queue.whenSettled(round)
        const entry = world.queue.entries[round - 1]
        const fact = entry?.facts[entry.kind === 'delivered' ? 'authenticatedBy' : 'cause']
        assert.equal(`${entry?.kind} ${fact}`, expected)
      }
    })
  }
}

test('T5: a partner entry sets level and hosts for its domain only', async (t) => {
  const partners = partnerSettings.parse([{ domain: 'partner.test', hosts: ['127.0.0.12'], level: 'secure' }])
  const world = await createWorld(t, { zone: ONE_MX, partners })
  await world.recipient('127.0.0.11', { tls: strangers.issue(['mx.recipient.test']) })
  const theirs = await world.recipient('127.0.0.12', { tls: authority.issue(['127.0.0.12']) })
  await world.send(newMessage({ to: ['max@recipient.test'] }))
  await world.send(newMessage({ to: ['max@partner.test'] }))
  await world.queue.whenSettled(2)
  assert.equal(theirs.messages, 1)
  assert.deepEqual(world.queue.entries.map(({ facts }) => facts['authenticatedBy']).toSorted(), [
    'none',
    'partner',
  ])
})
