// The relay end to end with real parts: what goes in comes out once, encrypted, unchanged, and without a trace of
// the sender's network; what cannot is refused in the dialogue or told to the sender.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { EICAR } from '../support/clamd.ts'
import { LOGIN, type MailWorld, PASSWORD, startMailWorld } from '../support/mail-world.ts'
import { requirePart } from '../support/parts.ts'
import type { ArrivedMail } from '../support/postfix-recipient.ts'
import { startPostfixRelayhost } from '../support/postfix-relayhost.ts'
import { connectLoggedIn, type SmtpClient } from '../support/smtp-client.ts'

const postfix = requirePart('postfix')
const clamd = requirePart('clamd')
const skip = postfix.skip || clamd.skip

const MAILS = 1000
const PARALLEL = 8

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const bodyOf = (mail: Buffer): Buffer => mail.subarray(mail.indexOf('\n\n') + 2)
const headerOf = (mail: Buffer): string => mail.subarray(0, mail.indexOf('\n\n') + 1).toString()

/** Runs `work` for each number below `count`, a few at a time. */
async function inParallel(count: number, work: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      while (next < count) await work(next++)
    }),
  )
}

/** A mail as a mail program behind a customer's server would send it, with all that must not get out. */
function officeMail(number: number): { mail: string; body: string } {
  const body = `.leading dot\nGrüße Nr. ${number}\n${'x'.repeat(number % 900)}\n..\n\nEnde ${number}\n`
  const header = [
    'Received: from ws17.office.intern (ws17.office.intern [10.1.2.3]) by exchange.office.intern with ESMTP id 4711;',
    '\tMon, 23 Nov 2026 08:00:00 +0100',
    'From: Max Müller <max@office.test>',
    `To: empfaenger${number}@tls.test`,
    `Subject: =?utf-8?q?Pr=C3=BCfbericht?= ${number}`,
    'Date: Mon, 23 Nov 2026 08:00:00 +0100',
    `Message-ID: <${number}.pruefung@office.test>`,
    'User-Agent: Thunderbird 140.4.0 (Windows/20261101)',
    'X-Mailer: Branchensoftware 7.3',
    'X-Originating-IP: [10.1.2.3]',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    'X-Priority: 3',
  ]
  return {
    mail: `${header.join('\n').replace('Max Müller', '=?utf-8?q?Max_M=C3=BCller?=')}\n\n${body}`,
    body,
  }
}

const LEAKS = [
  'ws17',
  'intern',
  '10.1.2.3',
  '127.0.0.1',
  'client.office-network',
  'Thunderbird',
  'Branchensoftware',
  'Postfix',
  'Exchange',
]

describe('S10, T1, M2, M3: a Postfix relayhost and a Postfix MX', { skip, timeout: 300_000 }, () => {
  let world: MailWorld
  before(async () => {
    world = await startMailWorld({ scanner: true })
  })
  after(() => world.dispose())

  test(`${MAILS} mails arrive once each, all over TLS, bodies identical, nothing of the client in them`, async () => {
    await using client = await startPostfixRelayhost({
      hostname: 'client.office-network.test',
      relayhost: { host: 'localhost', port: world.gateway.port },
      login: LOGIN,
      password: PASSWORD,
    })
    await inParallel(MAILS, (number) =>
      client.send(officeMail(number).mail, 'max@office.test', [`empfaenger${number}@tls.test`]),
    )
    const arrived = await world.tlsMx.waitForMails(MAILS, 240_000)
    assert.equal(arrived.length, MAILS)
    const byRecipient = new Map(arrived.map((mail) => [mail.forwardPath, mail]))
    assert.equal(byRecipient.size, MAILS)
    for (let number = 0; number < MAILS; number++) {
      const mail = byRecipient.get(`empfaenger${number}@tls.test`)
      assert.ok(mail, `mail ${number} is missing`)
      assert.match(mail.received, /using TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384/)
      assert.equal(mail.reversePath, 'max@office.test')
      assert.equal(sha256(bodyOf(mail.mail)), sha256(officeMail(number).body), `body of mail ${number}`)
      const text = mail.mail.toString()
      for (const leak of LEAKS)
        assert.ok(!text.includes(leak), `mail ${number} gives away "${leak}":\n${headerOf(mail.mail)}`)
    }
    assert.equal(await client.queueLength(), 0)
  })

  test('the header that arrives is ours on top and the kept fields in order, octet by octet', async () => {
    const [mail] = (await world.tlsMx.mails()).filter(
      ({ forwardPath }) => forwardPath === 'empfaenger7@tls.test',
    )
    assert.ok(mail)
    const header = headerOf(mail.mail).replace(/ id [0-9a-z]{18};\n? ?.*\+0000\n/, ' id ID; DATE\n')
    assert.equal(
      header,
      `X-secureTransport-forwarded: yes
Received: by gw.test (secureTransport)
 with ESMTPSA id ID; DATE
From: =?utf-8?q?Max_M=C3=BCller?= <max@office.test>
To: empfaenger7@tls.test
Subject: =?utf-8?q?Pr=C3=BCfbericht?= 7
Date: Mon, 23 Nov 2026 08:00:00 +0100
Message-ID: <7.pruefung@office.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
X-Priority: 3
`,
    )
  })
})

/** Sends one mail in a session of its own; the final reply. */
async function submit(
  client: SmtpClient,
  to: string,
  header: readonly string[],
  body = 'Hallo',
  from = 'max@office.test',
): Promise<string> {
  const sender = await client.command(`MAIL FROM:<${from}>`)
  if (!sender?.startsWith('250')) return sender ?? 'closed'
  const recipient = await client.command(`RCPT TO:<${to}>`)
  if (!recipient?.startsWith('250')) return recipient ?? 'closed'
  await client.command('DATA')
  const text = [...header, '', body].join('\r\n').replace(/^\./gm, '..')
  return (await client.command(`${text}\r\n.`)) ?? 'closed'
}

describe('T1, T2, M4, M5, N1: a recipient without STARTTLS', { skip, timeout: 120_000 }, () => {
  let world: MailWorld
  let client: SmtpClient
  const login = (): Promise<SmtpClient> => connectLoggedIn(world.gateway.port, LOGIN, PASSWORD)
  before(async () => {
    world = await startMailWorld({ scanner: true })
    client = await login()
  })
  after(async () => {
    client.close()
    await world.dispose()
  })
  const header = (subject: string, ...more: string[]): string[] => [
    'From: max@office.test',
    'To: bernd@plain.test',
    `Subject: ${subject}`,
    ...more,
  ]

  test('gets nothing, and the sender a German notice that names the cause and the way out', async () => {
    const reply = await submit(client, 'bernd@plain.test', header('Vertrag'))
    assert.match(reply, /^250 2\.0\.0 OK id=[0-9a-z]{18}$/)
    const [notice] = await world.tlsMx.waitForMails(1)
    assert.ok(notice)
    assert.equal(notice.reversePath, '')
    assert.equal(notice.forwardPath, 'max@office.test')
    assert.match(notice.received, /using TLSv1\.3/)
    const text = decodeQuotedPrintable(notice.mail.toString())
    assert.match(
      text,
      /Der Mailserver des Empfängers bietet keine sichere Verschlüsselung an\. Deshalb wurde nichts übertragen\./,
    )
    assert.match(text, /schreiben Sie \[Klartext\] mit den eckigen Klammern in den Betreff/)
    assert.match(text, /^Final-Recipient: rfc822; ?bernd@plain\.test$/m)
    assert.match(text, /^Action: failed$/m)
    assert.match(text, /^Status: 5\.7\.10$/m)
    assert.ok(!text.includes('Hallo'), 'the body of the mail stays out of the notice')
    assert.deepEqual(await world.plainMx.mails(), [])
    assert.doesNotMatch(await world.plainMx.log(), /from=<max@office\.test>/)
  })

  const permits: [string, string[]][] = [
    ['[Klartext] written plainly', header('[Klartext] Öffnungszeiten'.replace('Ö', 'O'))],
    [
      '[Klartext] in an encoded subject with umlauts',
      header('=?UTF-8?Q?=5BKlartext=5D_Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?='),
    ],
    ['X-klartext: yes', header('Vertrag', 'X-klartext: yes')],
    ['TLS-Required: No', header('Vertrag', 'TLS-Required: No')],
  ]
  for (const [name, fields] of permits) {
    test(`gets the same mail with ${name}, in the clear and without the mark of M6`, async () => {
      const before = (await world.plainMx.mails()).length
      const reply = await submit(client, 'bernd@plain.test', fields)
      assert.match(reply, /^250 /)
      const id = reply.slice(-18)
      const line = await world.gateway.event(
        ({ event, message }) => event === 'delivery.delivered' && message === id,
      )
      assert.equal(line['transport'], 'cleartext')
      const arrived = await world.plainMx.waitForMails(before + 1)
      const mail = arrived.find((one: ArrivedMail) => one.mail.includes(id))
      assert.ok(mail)
      assert.ok(!headerOf(mail.mail).includes('X-secureTransport-forwarded'))
      assert.ok(
        headerOf(mail.mail).includes(`Subject: ${fields[2]?.slice(9)}\n`),
        'the subject travels unchanged',
      )
    })
  }

  test('a permit does not keep TLS from being used where it is offered', async () => {
    const reply = await submit(client, 'anna@tls.test', ['From: max@office.test', 'Subject: [Klartext] x'])
    const line = await world.gateway.event(
      ({ event, message }) => event === 'delivery.delivered' && message === reply.slice(-18),
    )
    assert.equal(line['transport'], 'tls')
  })
})

describe('S4, S5, S6, M1, T7, T9: refused in the dialogue or told at once', {
  skip,
  timeout: 120_000,
}, () => {
  let world: MailWorld
  before(async () => {
    world = await startMailWorld({ scanner: true })
  })
  after(() => world.dispose())

  const refusals: [string, { from?: string; header?: string[]; body?: string }, string][] = [
    ['EICAR', { body: EICAR }, '550 5.7.1 The message holds a virus or malware: '],
    [
      'an unlicensed sender',
      { from: 'eve@elsewhere.test' },
      '550 5.7.1 The sender eve@elsewhere.test is not licensed for this account; use a licensed address or have this one added',
    ],
    [
      'a different header From',
      { header: ['From: chef@office.test'] },
      '550 5.7.1 The From field names chef@office.test, but the envelope sender is max@office.test; both must be the same',
    ],
    [
      'no From',
      { header: ['Subject: x'] },
      '550 5.7.1 The message has no From field; it must hold exactly the sender address max@office.test',
    ],
    [
      'two From fields',
      { header: ['From: max@office.test', 'From: max@office.test'] },
      '550 5.7.1 The message has several From fields or several addresses in From; exactly max@office.test is allowed',
    ],
    [
      'noreply@',
      { from: 'noreply@office.test' },
      '550 5.7.1 The sender noreply@office.test looks like an address that nobody reads; use one that can receive replies',
    ],
    [
      'x@localhost',
      { from: 'x@localhost' },
      '550 5.1.8 The sender x@localhost belongs to an internal domain that cannot receive mail; use your public address',
    ],
    [
      'the null sender',
      { from: '' },
      '550 5.7.1 Mail without a sender address is not accepted here; use an address that can receive replies',
    ],
    [
      'a look-alike of the tag',
      { header: ['From: max@office.test', 'Subject: ［Klartext］ x'] },
      '550 5.7.1 The subject holds something that looks like [Klartext]',
    ],
  ]
  for (const [name, { from, header, body }, expected] of refusals) {
    test(`${name} is refused with its own sentence`, async () => {
      const client = await connectLoggedIn(world.gateway.port, LOGIN, PASSWORD)
      try {
        const reply = await submit(client, 'anna@tls.test', header ?? ['From: max@office.test'], body, from)
        assert.equal(reply.slice(0, expected.length), expected)
      } finally {
        client.close()
      }
    })
  }
  test('nothing of all that was delivered', async () => {
    assert.deepEqual(await world.tlsMx.mails(), [])
  })

  const failures: [string, string, string, string][] = [
    ['a domain with a null MX', 'x@null.test', 'domain-takes-no-mail', '5.1.10'],
    ['a domain that does not exist', 'x@nowhere.test', 'domain-unknown', '5.1.2'],
    ['an MX at a private address', 'x@inside.test', 'address-not-allowed', '5.4.4'],
  ]
  for (const [name, recipient, cause, status] of failures) {
    test(`${name} is told to the sender at once`, async () => {
      const client = await connectLoggedIn(world.gateway.port, LOGIN, PASSWORD)
      const reply = await submit(client, recipient, ['From: max@office.test'])
      client.close()
      const line = await world.gateway.event(
        ({ event, message }) => event === 'delivery.failed' && message === reply.slice(-18),
      )
      assert.deepEqual([line['cause'], line['status']], [cause, status])
      const told = await world.gateway.event(
        ({ event, about }) => event === 'notification.queued' && about === reply.slice(-18),
      )
      await world.gateway.event(
        ({ event, message }) => event === 'delivery.delivered' && message === told['message'],
      )
    })
  }
})

describe('N3, O2: registered mail, and a restart', { skip, timeout: 120_000 }, () => {
  let world: MailWorld
  before(async () => {
    world = await startMailWorld()
  })
  after(() => world.dispose())

  test('NOTIFY=SUCCESS yields one notice with the acceptance id of the recipient server', async () => {
    const client = await connectLoggedIn(world.gateway.port, LOGIN, PASSWORD)
    await client.command('MAIL FROM:<max@office.test> RET=HDRS ENVID=ref+2B1')
    assert.equal(
      await client.command('RCPT TO:<anna@tls.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;anna@tls.test'),
      '250 2.1.5 Recipient OK',
    )
    await client.command('DATA')
    await client.command('From: max@office.test\r\nSubject: Einschreiben\r\n\r\nx\r\n.')
    client.close()
    // The copy, our notice, and the notice that this Postfix sends because it offers DSN itself.
    const arrived = await world.tlsMx.waitForMails(3)
    const [notice] = arrived.filter(
      ({ reversePath, mail }) => reversePath === '' && mail.includes('secureTransport Mailsystem'),
    )
    const [copy] = arrived.filter(({ forwardPath }) => forwardPath === 'anna@tls.test')
    assert.ok(notice && copy)
    const acceptanceId = / id ([0-9A-Za-z]+)/.exec(copy.received)?.[1]
    const text = decodeQuotedPrintable(notice.mail.toString())
    assert.match(text, /^Action: relayed$/m)
    assert.match(text, /^Original-Envelope-Id: ref\+1$/m)
    assert.ok(acceptanceId && text.includes(`queued as ${acceptanceId}`), `the notice names ${acceptanceId}`)
  })

  test('SIGTERM ends with 0, and mail accepted for a dead MX is delivered after the start', async () => {
    world.dns.set('late.test', { all: 'servfail' })
    const client = await connectLoggedIn(world.gateway.port, LOGIN, PASSWORD)
    const reply = await submit(client, 'anna@late.test', ['From: max@office.test'])
    client.close()
    const id = reply.slice(-18)
    await world.gateway.event(({ event, message }) => event === 'delivery.deferred' && message === id)
    const listed = await world.gateway.command(['queue', 'list', '--json'])
    assert.deepEqual(
      JSON.parse(listed.stdout).map((row: { messageId: string }) => row.messageId),
      [id],
    )
    assert.equal(await world.gateway.stop(), 0)
    world.dns.set('late.test', { MX: ['10 mx.tls.test'] })
    await world.gateway.restart()
    assert.equal((await world.gateway.command(['queue', 'retry', id])).code, 0)
    await world.gateway.event(({ event, message }) => event === 'delivery.delivered' && message === id)
  })
})

function decodeQuotedPrintable(text: string): string {
  const joined = text.replace(/=\r?\n/g, '')
  return Buffer.from(
    joined.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()
}
