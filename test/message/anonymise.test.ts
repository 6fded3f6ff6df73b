import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { createAnonymiser } from '../../src/message/anonymise.ts'
import { serialiseHeader } from '../../src/message/header-block.ts'
import { anonymiseRules } from '../../src/message/settings.ts'
import { receivedField } from '../../src/message/trace-fields.ts'
import { headerOf } from './header-fixture.ts'

const shipped = anonymiseRules.parse(
  parse(readFileSync(new URL('../../config/anonymise.yaml', import.meta.url), 'utf8')),
)
const anonymise = createAnonymiser(shipped, ['gw.example', 'GW2.example'])
const clean = (header: string) => serialiseHeader(anonymise(headerOf(header))).toString()

const TRACE = { hostname: 'gw.example', id: '01h2xcejqtf2nbrexx', protocol: 'ESMTPSA', at: 0 } as const

/** What must stay of any mail. */
const KEPT = [
  'Return-Path: <a@a.test>',
  'DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s; h=from:to; bh=x; b=y',
  'From: "A" <a@a.test>',
  'Sender: a@a.test',
  'Reply-To: a@a.test',
  'To: b@b.test,\r\n\tc@c.test',
  'Cc: d@d.test',
  'Subject: =?utf-8?Q?=C3=BC?=',
  'Date: Thu, 01 Jan 1970 00:00:00 +0000',
  'Message-ID: <1@host.internal>',
  'In-Reply-To: <0@b.test>',
  'References: <0@b.test>',
  'Thread-Topic: x',
  'Thread-Index: AdZ=',
  'X-Priority: 1',
  'Importance: high',
  'Sensitivity: private',
  'Organization: A GmbH',
  'Auto-Submitted: no',
  'X-Auto-Response-Suppress: OOF',
  'Disposition-Notification-To: a@a.test',
  'List-Unsubscribe: <mailto:x@a.test>',
  'X-Loop: a',
  'X-klartext: yes',
  'TLS-Required: No',
  'Autocrypt: addr=a@a.test; keydata=x',
  'MIME-Version: 1.0',
  'Content-Type: text/plain;\r\n charset=utf-8',
  'Content-Transfer-Encoding:8bit',
  'Content-Language: de-DE',
  'X-Our-Own: something',
]

/** What real clients and servers write, and must go. */
const REMOVED = [
  'Received: from pc17.intern.a.test ([192.168.1.17]) by mail.a.test with ESMTPSA',
  'User-Agent: Mozilla Thunderbird',
  'X-Mailer: Microsoft Outlook 16.0',
  'X-MimeOLE: Produced By Microsoft MimeOLE',
  'X-MSMail-Priority: Normal',
  'x-originating-ip: [10.1.2.3]',
  'X-Originating-Email: x@a.test',
  'X-MS-Has-Attach: yes',
  'X-MS-Exchange-CrossTenant-Id: 6a0f',
  'x-ms-exchange-organization-authas: Internal',
  'X-Microsoft-Antispam: BCL:0;',
  'X-OriginatorOrg: a.test',
  'X-ClientProxiedBy: FR0P281CA0001.DEUP281.PROD.OUTLOOK.COM (2603:10a6:d10:15::6)',
  'X-Sender: max@pc17',
  'X-Authenticated-User: max',
  'X-PHP-Originating-Script: 33:mail.php',
  'X-AntiAbuse: Primary Hostname - web1.a.test',
  'X-Source-Dir: /home/x',
  'X-Virus-Scanned: amavisd-new at a.test',
  'X-Spam-Status: No, score=-1.9',
  'X-Get-Message-Sender-Via: web1.a.test: authenticated_id: x',
  'X-Kopano-Version: 8',
  'X-Zarafa-Version: 7',
  'Received-SPF: pass (client-ip=192.0.2.1)',
  'Authentication-Results: mail.a.test; auth=pass smtp.auth=max',
  'ARC-Seal: i=1; a=rsa-sha256',
  'X-Received: by 10.1.2.3',
  'X-Forwarded-For: x@a.test',
  'X-Originator-IP: 192.0.2.1',
  'Mail-System-Version: 1.2',
  'X-Apple-Mail-Remote-Attachments: YES',
  'X-Uniform-Type-Identifier: com.apple.mail-draft',
  'X-Universally-Unique-Identifier: 1',
  'X-Mozilla-Draft-Info: internal/draft; vcard=0',
  'X-Identity-Key: id1',
  'X-Account-Key: account1',
  'X-Enigmail-Version: 2',
  'X-Report-Abuse: x',
  'X-TM-AS-Product-Ver: IMSVA-9.1',
  'X-MIMETrack: Serialize by Router on NOTES1/A',
  'X-KSE-ServerInfo: EX1.intern.a.test, 9',
  'X-Barracuda-Connect: ex1.intern[192.168.1.2]',
  'X-secureTransport-forwarded: yes',
]

describe('M2: what gives the sender away', () => {
  for (const field of REMOVED) {
    test(`M2: removed: ${field.slice(0, 60)}`, () => {
      assert.equal(
        clean(`From: a@a.test\r\n${field}\r\n folded\r\nTo: b@b.test\r\n`),
        'From: a@a.test\r\nTo: b@b.test\r\n',
      )
    })
  }

  test('M2, M3: from a mail with everything, exactly the rest stays, byte for byte and in order', () => {
    const mixed = KEPT.flatMap((field, index) => [REMOVED[index * 2], field, REMOVED[index * 2 + 1]])
    const header = mixed
      .filter((field) => field !== undefined)
      .map((field) => `${field}\r\n`)
      .join('')
    assert.equal(clean(header), KEPT.map((field) => `${field}\r\n`).join(''))
  })

  test('M2: our own trace fields stay, forged or changed ones go', () => {
    const own = receivedField(TRACE)
    const other = receivedField({ ...TRACE, hostname: 'gw2.example' })
    const forged = [
      receivedField({ ...TRACE, hostname: 'gw.evil.example' }),
      own.replace('Received: by', 'Received: from pc17 ([192.168.1.17]) by'),
      own.replace(';', ' for <x@x.test>;'),
      own.replace('(secureTransport)', '(secureTransport pc17)'),
    ]
    assert.equal(
      clean(`${own}${forged.join('')}${other}From: a@a.test\r\n`),
      `${own}${other}From: a@a.test\r\n`,
    )
  })
})

describe('M3: fields under a DKIM signature', () => {
  const signature = (h: string) =>
    `DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s;\r\n\th=${h}; bh=x; b=y\r\n`
  const cases: [string, string, string][] = [
    ['a signed field stays', 'from:x-mailer', 'X-Mailer: a\r\n'],
    ['names in other case, blanks and folds', 'From :\r\n\t X-MAILER : to', 'X-Mailer: a\r\n'],
    ['an unsigned field goes', 'from:to', ''],
    ['a name within another name does not count', 'from:x-mailer-x', ''],
  ]
  for (const [name, h, kept] of cases) {
    test(`M3: ${name}`, () => {
      assert.equal(
        clean(`${signature(h)}X-Mailer: a\r\nFrom: a@a.test\r\n`),
        `${signature(h)}${kept}From: a@a.test\r\n`,
      )
    })
  }

  test('M3: of several instances the last ones stay, as many as are signed', () => {
    assert.equal(
      clean(`${signature('from:received:received')}Received: 1\r\nReceived: 2\r\nReceived: 3\r\n`),
      `${signature('from:received:received')}Received: 2\r\nReceived: 3\r\n`,
    )
  })

  test('M3: each of several signatures counts', () => {
    const both = `${signature('from:x-mailer')}${signature('from:user-agent')}`
    assert.equal(clean(`${both}X-Mailer: a\r\nUser-Agent: b\r\n`), `${both}X-Mailer: a\r\nUser-Agent: b\r\n`)
  })

  test('M3: other tags and ARC signatures protect nothing', () => {
    assert.equal(
      clean('DKIM-Signature: v=1; z=x-mailer:a; bh=x-mailer\r\nX-Mailer: a\r\n'),
      'DKIM-Signature: v=1; z=x-mailer:a; bh=x-mailer\r\n',
    )
    assert.equal(clean('ARC-Message-Signature: i=1; h=x-mailer\r\nX-Mailer: a\r\nTo: b\r\n'), 'To: b\r\n')
  })

  test('M6: the mark of a forwarded copy goes even when it is signed', () => {
    const signed = signature('from:x-securetransport-forwarded')
    assert.equal(clean(`${signed}X-SECUREtransport-Forwarded: yes\r\nTo: b\r\n`), `${signed}To: b\r\n`)
  })

  test('M3: whatever the header, the kept fields are a part of it in order, and all unknown ones are kept', () => {
    const name = fc.constantFrom('From', 'X-Mailer', 'Received', 'X-Unknown', 'x-ms-foo', 'Subject')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, fc.stringMatching(/^[a-z =;:]{0,10}$/)), { maxLength: 20 }),
        (pairs) => {
          const header = headerOf(pairs.map(([key, value]) => `${key}: x${value}\r\n`).join(''))
          const plain = header.fields.filter(({ key }) => ['from', 'x-unknown', 'subject'].includes(key))
          assert.deepEqual(anonymise(header), plain)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('config/anonymise.yaml', () => {
  test('each field stands there once', () => {
    const fields = shipped.remove.map(({ field }) => field.toLowerCase())
    assert.deepEqual(
      fields.filter((field, index) => fields.indexOf(field) !== index),
      [],
    )
    const prefixes = fields.filter((field) => field.endsWith('*')).map((field) => field.slice(0, -1))
    assert.deepEqual(
      fields.filter((field) => prefixes.some((prefix) => field.startsWith(prefix) && field !== `${prefix}*`)),
      [],
    )
  })

  const refused: [string, unknown][] = [
    ['everything', { remove: [{ field: '*', reason: 'x' }] }],
    ['From', { remove: [{ field: 'from', reason: 'x' }] }],
    ['a pattern that takes Content-Type', { remove: [{ field: 'Con*', reason: 'x' }] }],
    ['the cleartext request', { remove: [{ field: 'X-Kl*', reason: 'x' }] }],
    ['an asterisk in the middle', { remove: [{ field: 'X-*-Y', reason: 'x' }] }],
    ['a blank in the name', { remove: [{ field: 'X Mailer', reason: 'x' }] }],
    ['a colon in the name', { remove: [{ field: 'X-Mailer:', reason: 'x' }] }],
    ['no reason', { remove: [{ field: 'X-Mailer' }] }],
    ['an unknown key', { remove: [{ field: 'X-Mailer', reason: 'x', when: 'y' }] }],
    ['nothing', {}],
  ]
  for (const [name, rules] of refused) {
    test(`refused: ${name}`, () => assert.equal(anonymiseRules.safeParse(rules).success, false))
  }
})
