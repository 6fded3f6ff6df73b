import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { test } from 'node:test'
import { NOTICE_KINDS } from '../../src/notification/texts.ts'
import type { MessageMeta, NewMessage } from '../../src/queue/message.ts'
import type { NoticeItem, NoticeKind } from '../../src/queue/notice.ts'
import {
  claimOf,
  deferred,
  delivered,
  EXPIRES_AT,
  failure,
  HEADER,
  MESSAGE_ID,
  mailbox,
  messageMeta,
  NOTICE_ID,
  NOW,
  noEncryptedPath,
  plannerWith,
} from './fixtures.ts'
import { octetsOf, readNotice, readWithPython, splitMime } from './mime.ts'

async function planOne(
  kind: NoticeKind,
  message: MessageMeta,
  items: readonly NoticeItem[],
  settings: Record<string, unknown> = {},
): Promise<NewMessage> {
  const notices = await (await plannerWith(settings)).plan(kind, message, items, NOW)
  assert.equal(notices.length, 1)
  const [notice] = notices
  assert.ok(notice)
  return notice
}

test('N4: a notice goes from the null reverse-path to the reverse-path of the message, and wants no notice', async () => {
  const message = messageMeta()
  const notice = await planOne('failed', message, [{ claim: claimOf({ message }), outcome: failure() }])
  const { header, ...meta } = notice.meta
  assert.deepEqual(meta, {
    id: NOTICE_ID,
    kind: 'notification',
    customer: null,
    credential: null,
    envelope: { reversePath: null, dsn: { ret: null, envid: null }, smtpUtf8: false, requireTls: false },
    sizeBytes: header.length + Buffer.concat(notice.body.inMemory ?? []).length,
    eightBit: false,
    headerUtf8: false,
    permit: 'notification',
    level: 'may',
    receivedOverTls: false,
    acceptedAt: NOW,
    expiresAt: NOW + 120 * 3_600_000,
  })
  assert.deepEqual(notice.recipients, [
    { forwardPath: message.envelope.reversePath, dsn: { notify: 'never', orcpt: null } },
  ])
  assert.equal(notice.body.sizeBytes, Buffer.concat(notice.body.inMemory ?? []).length)
})

test('N4: the header of a notice names sender, recipient, subject and the message it answers, and asks for no answer', async () => {
  const message = messageMeta()
  const notice = await planOne('delayed', message, [{ claim: claimOf({ message }), outcome: deferred() }], {
    from: { name: 'Müller & Söhne, Post', address: 'post@example.net' },
  })
  assert.equal(
    Buffer.from(notice.meta.header).toString(),
    [
      'From: =?UTF-8?Q?M=C3=BCller_=26_S=C3=B6hne=2C_Post?= <post@example.net>',
      'To: <erika@buero.example>',
      'Subject: =?UTF-8?Q?Zustellung_verz=C3=B6gert=3A_Angebot_Nr?=',
      ' =?UTF-8?Q?=2E_7?=',
      'Date: Mon, 23 Nov 2026 09:20:30 +0000',
      `Message-ID: <${NOTICE_ID}@relay.example.net>`,
      'In-Reply-To: <abc.123@buero.example>',
      'References: <abc.123@buero.example>',
      'Auto-Submitted: auto-replied',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status;',
      ` boundary="=_-${NOTICE_ID}-Part_2"`,
      '',
    ].join('\r\n'),
  )
})

test('N1: header and body are in wire form: CRLF everywhere, dots doubled, an empty line between them', async () => {
  const message = messageMeta({
    header: 'Subject: x\r\nX-Odd: y\r\n..hidden: dots\r\n',
  })
  const notice = await planOne('failed', message, [{ claim: claimOf({ message }), outcome: failure() }])
  const header = Buffer.from(notice.meta.header).toString('latin1')
  const body = Buffer.concat(notice.body.inMemory ?? []).toString('latin1')
  assert.match(header, /[^\r\n]\r\n$/)
  assert.ok(body.startsWith('\r\n--'))
  assert.ok(body.endsWith('--\r\n'))
  assert.doesNotMatch(header + body, /\r(?!\n)|(?<!\r)\n/)
  assert.match(body, /\r\n\.\.hidden: dots\r\n/)
  assert.doesNotMatch(body, /\r\n\.(?!\.)/)
  assert.equal(readNotice(notice).header, 'Subject: x\r\nX-Odd: y\r\n.hidden: dots\r\n')
})

test('N3: whatever RET asks for, the header comes back and never the body', async () => {
  for (const ret of ['full', 'headers', null] as const) {
    const message = messageMeta({ envelope: { dsn: { ret, envid: null } } })
    const notice = await planOne('failed', message, [{ claim: claimOf({ message }), outcome: failure() }])
    const report = splitMime(octetsOf(notice))
    assert.deepEqual(
      report.parts.map(({ type }) => type),
      ['multipart/alternative', 'message/delivery-status', 'text/rfc822-headers'],
    )
    assert.equal(readNotice(notice).header, HEADER)
  }
})

test('N3: one notice lists all recipients of one fate and nobody else', async () => {
  const message = messageMeta()
  const items = ['a@kunde.example', 'b@kunde.example', 'c@amt.example'].map((address) => ({
    claim: claimOf({ message, address, dsn: { notify: ['success'], orcpt: null } }),
    outcome: delivered(),
  }))
  const silent = {
    claim: claimOf({ message, address: 'bcc@kunde.example', dsn: { notify: ['failure'], orcpt: null } }),
    outcome: delivered(),
  }
  const notice = await planOne('relayed', message, [...items, silent])
  const { text, html, status } = readNotice(notice)
  for (const part of [text, html, status]) {
    for (const { claim } of items) assert.ok(part.includes(claim.recipient.forwardPath.text))
  }
  assert.doesNotMatch(octetsOf(notice).toString(), /bcc@/)
  assert.match(
    octetsOf(notice).toString(),
    /^Subject: =\?UTF-8\?Q\?Angenommen_f=C3=BCr_3_Empf=C3=A4nger=3A_\?=/m,
  )
})

test('N4: nothing is planned about a notice, for the null reverse-path, or when nobody wants it', async () => {
  let bodies = 0
  const planner = await plannerWith(
    {},
    {
      queue: {
        beginBody() {
          bodies++
          throw new Error('no body may be begun')
        },
      },
    },
  )
  const never = { notify: 'never', orcpt: null } as const
  for (const message of [
    messageMeta({ kind: 'notification' }),
    messageMeta({ envelope: { reversePath: null } }),
  ]) {
    const items = [{ claim: claimOf({ message }), outcome: failure() }]
    assert.deepEqual(await planner.plan('failed', message, items, NOW), [])
  }
  const message = messageMeta()
  const items = [{ claim: claimOf({ message, dsn: never }), outcome: failure() }]
  assert.deepEqual(await planner.plan('failed', message, items, NOW), [])
  assert.equal(bodies, 0)
})

test('N1: a fault of the store comes out of the planner', async () => {
  const fault = new Error('disk')
  const planner = await plannerWith(
    {},
    {
      queue: { beginBody: () => ({ write: () => null, finish: () => Promise.reject(fault), abort() {} }) },
    },
  )
  const message = messageMeta()
  await assert.rejects(
    planner.plan('failed', message, [{ claim: claimOf({ message }), outcome: failure() }], NOW),
    fault,
  )
})

test('N4: with requireTls a notice has no cleartext permit', async () => {
  const message = messageMeta()
  const items = [{ claim: claimOf({ message }), outcome: failure() }]
  const { meta } = await planOne('failed', message, items, { requireTls: true })
  assert.deepEqual([meta.permit, meta.level], [null, 'encrypt'])
})

test('N4: with subjectInNotices off the subject stands nowhere in the notice', async () => {
  const message = messageMeta({ header: `${HEADER}Thread-Topic: Angebot Nr. 7\r\n` })
  const notice = await planOne('failed', message, [{ claim: claimOf({ message }), outcome: failure() }], {
    subjectInNotices: false,
  })
  const { text, header } = readNotice(notice)
  assert.doesNotMatch(octetsOf(notice).toString() + text, /Angebot/)
  assert.match(text, /^Betreff: \(Betreff nicht genannt\)$/m)
  assert.equal(
    header,
    'From: Erika Muster <erika@buero.example>\r\nTo: Max <max@kunde.example>\r\n' +
      'Date: Mon, 23 Nov 2026 09:04:58 +0100\r\nMessage-ID: <abc.123@buero.example>\r\n',
  )
})

test('T6: about a REQUIRETLS message the notice tells no subject, returns no header and stays on TLS', async () => {
  const message = messageMeta({ envelope: { requireTls: true }, header: `${HEADER}TLS-Required: No\r\n` })
  const notice = await planOne('failed', message, [
    { claim: claimOf({ message }), outcome: noEncryptedPath() },
  ])
  assert.deepEqual([notice.meta.permit, notice.meta.level], [null, 'encrypt'])
  assert.equal(splitMime(octetsOf(notice)).parts.length, 2)
  const { text, fields } = readNotice(notice)
  assert.doesNotMatch(text + octetsOf(notice).toString(), /Angebot|\[Klartext\]/)
  assert.equal(fields.get('tls-required'), undefined)
})

test('M5: TLS-Required: No of the message is repeated in its notice', async () => {
  const message = messageMeta({ header: `${HEADER}TLS-Required: no\r\n` })
  const notice = await planOne('failed', message, [{ claim: claimOf({ message }), outcome: failure() }])
  assert.equal(readNotice(notice).fields.get('tls-required'), 'No')
})

test('M5: a customer who is barred from cleartext reads nothing of [Klartext]', async () => {
  const message = messageMeta()
  const planner = await plannerWith(
    {},
    { wishesOf: async () => ({ cleartextAllowed: false, languages: null }) },
  )
  const [notice] = await planner.plan(
    'failed',
    message,
    [{ claim: claimOf({ message }), outcome: noEncryptedPath() }],
    NOW,
  )
  assert.ok(notice)
  assert.doesNotMatch(readNotice(notice).text, /klartext/i)
})

test('N5: a customer gets the languages of their own choice, as far as they are there', async () => {
  const message = messageMeta()
  const choices: readonly [readonly string[] | null, RegExp][] = [
    [['en'], /^Your message was not delivered/],
    [['fr', 'de'], /^Ihre Nachricht wurde nicht zugestellt/],
    [['fr'], /^\(English version below\.\)/],
    [null, /^\(English version below\.\)/],
  ]
  for (const [languages, beginning] of choices) {
    const planner = await plannerWith({}, { wishesOf: async () => ({ cleartextAllowed: true, languages }) })
    const [notice] = await planner.plan(
      'failed',
      message,
      [{ claim: claimOf({ message }), outcome: failure() }],
      NOW,
    )
    assert.ok(notice)
    assert.match(readNotice(notice).text, beginning)
  }
})

test('N2: an encoded subject is shown decoded, and a message without one says so', async () => {
  const subjects: readonly [header: string, shown: string][] = [
    ['Subject: =?utf-8?Q?[Klartext]_Gr=C3=BC=C3=9Fe?=\r\n', '[Klartext] Grüße'],
    ['Subject: =?utf-8?B?R3LDvA==?=\r\n =?utf-8?B?w59l?=\r\n', 'Grüße'],
    ['Subject: Grüße roh\r\n', 'Grüße roh'],
    ['Subject: \r\n', '(ohne Betreff)'],
    ['Date: Mon, 23 Nov 2026 09:04:58 +0100\r\n', '(ohne Betreff)'],
    [`Subject: ${'lang '.repeat(100)}\r\n`, `${'lang '.repeat(100).slice(0, 199)}…`],
  ]
  for (const [header, shown] of subjects) {
    const message = messageMeta({ header })
    const notice = await planOne('delayed', message, [{ claim: claimOf({ message }), outcome: deferred() }])
    assert.ok(readNotice(notice).text.includes(`\nBetreff: ${shown}\n`), shown)
    const python = readWithPython(notice)
    if (python) assert.equal(new Map(python.fields).get('Subject'), `Zustellung verzögert: ${shown}`)
  }
})

test('N1: an international reverse-path makes an international notice; elsewhere it stays 7-bit', async () => {
  const recipient = 'jürgen@müller.example'
  const header = 'Subject: Grüße\r\nMessage-ID: <a@b.example>\r\n'
  const plans: readonly [sender: string, eightBit: boolean][] = [
    ['erika@buero.example', false],
    ['érika@buero.example', true],
  ]
  for (const [sender, eightBit] of plans) {
    const message = messageMeta({ header, envelope: { reversePath: mailbox(sender), smtpUtf8: true } })
    const claim = claimOf({
      message,
      address: recipient,
      dsn: { notify: null, orcpt: 'utf-8;j\\x+7BFC+7Drgen@x.example' },
    })
    const notice = await planOne('failed', message, [{ claim, outcome: failure() }])
    const { meta } = notice
    assert.deepEqual([meta.eightBit, meta.headerUtf8, meta.envelope.smtpUtf8], [eightBit, eightBit, eightBit])
    assert.equal(isAscii(octetsOf(notice)), !eightBit)
    const read = readNotice(notice)
    assert.deepEqual(
      [read.statusType, read.headerType],
      ['message/global-delivery-status', 'message/global-headers'],
    )
    assert.match(read.status, /^Final-Recipient: utf-8; jürgen@xn--mller-kva\.example$/m)
    assert.match(read.status, /^Original-Recipient: utf-8; jürgen@x\.example$/m)
    assert.equal(read.header, header)
    assert.equal(Buffer.from(read.fields.get('to') ?? '', 'latin1').toString(), `<${sender}>`)
  }
})

const OUTCOMES: Readonly<Record<NoticeKind, NoticeItem['outcome']>> = {
  failed: failure({ status: '4.4.1', cause: 'expired' }),
  delayed: deferred({ status: '5.7.5' }),
  relayed: delivered({ reply: { code: 250, enhanced: null, lines: ['ok'] } }),
  'delay-over': delivered(),
}
const ACTIONS = { failed: 'failed', delayed: 'delayed', relayed: 'relayed', 'delay-over': 'relayed' }
const CLASSES = { failed: '5', delayed: '4', relayed: '2', 'delay-over': '2' }

for (const kind of NOTICE_KINDS) {
  test(`N1: Python's email package reads the notice ${kind} without a defect and finds every mandatory field`, async (context) => {
    const message = messageMeta({ envelope: { dsn: { ret: null, envid: 'Id+2B7' } } })
    const claim = claimOf({
      message,
      dsn: { notify: kind === 'relayed' ? ['success'] : null, orcpt: 'rfc822;max+2Bx@kunde.example' },
      state: { delayNotified: kind === 'delay-over' },
    })
    const notice = await planOne(kind, message, [{ claim, outcome: OUTCOMES[kind] }])
    const read = readWithPython(notice)
    if (read === null) {
      context.skip('no Python here')
      return
    }
    assert.deepEqual(read.defects, [])
    assert.equal(read.type, 'multipart/report')
    assert.deepEqual(
      read.leaves.map(({ type }) => type),
      ['text/plain', 'text/html', 'text/rfc822-headers'],
    )
    const [perMessage, perRecipient, ...more] = read.status.map((block) => new Map(block))
    assert.deepEqual(more, [])
    assert.equal(perMessage?.get('Reporting-MTA'), 'dns; relay.example.net')
    assert.equal(perMessage?.get('Original-Envelope-Id'), 'Id+7')
    assert.equal(perRecipient?.get('Original-Recipient'), 'rfc822; max+x@kunde.example')
    assert.equal(perRecipient?.get('Final-Recipient'), 'rfc822; max@kunde.example')
    assert.equal(perRecipient?.get('Action'), ACTIONS[kind])
    assert.match(perRecipient?.get('Status') ?? '', new RegExp(`^${CLASSES[kind]}\\.\\d+\\.\\d+$`))
    assert.equal(perRecipient?.get('Final-Log-ID'), MESSAGE_ID)
    assert.equal(perRecipient?.has('Will-Retry-Until'), kind === 'delayed')
    if (kind === 'delayed') {
      assert.equal(Date.parse(perRecipient?.get('Will-Retry-Until') ?? ''), EXPIRES_AT)
    }
  })
}
