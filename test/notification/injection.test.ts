// What strangers write (a subject, a reply, a host name, an ORCPT) stands in notices as text and as nothing else.
import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NewMessage } from '../../src/queue/message.ts'
import type { NoticeItem } from '../../src/queue/notice.ts'
import { decodeReply } from '../../src/smtp/reply.ts'
import { encodeXtext } from '../../src/smtp/xtext.ts'
import { claimOf, delivered, failure, HEADER, messageMeta, NOW, PLACE, plannerWith } from './fixtures.ts'
import { octetsOf, readNotice, readWithPython, splitMime } from './mime.ts'

const FIELD_NAMES = [
  'from',
  'to',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'auto-submitted',
  'mime-version',
  'content-type',
]
/** The tags of the templates. */
const TAGS = '!doctype html head meta title body div p i h1 h2 b br ul ol li hr code'.split(' ')
/** Controls but tab, CR and LF; and what moves text about. */
const UNSAFE = /[^\P{Cc}\t\r\n]|[\u2028-\u202e\u2066-\u2069]/u
const STATUS_FIELDS =
  /^(?:Original-Envelope-Id|Reporting-MTA|Arrival-Date|Original-Recipient|Final-Recipient|Action|Status|Remote-MTA|Diagnostic-Code|Last-Attempt-Date|Final-Log-ID): |^ |^$/

async function noticeAbout(item: NoticeItem, kind: 'failed' | 'relayed' = 'failed'): Promise<NewMessage> {
  const planner = await plannerWith({ languages: ['en'] })
  const [notice] = await planner.plan(kind, item.claim.message, [item], NOW)
  assert.ok(notice)
  return notice
}

/** What must hold for every notice, whatever strangers wrote. */
function assertIntact(notice: NewMessage): void {
  const octets = octetsOf(notice)
  assert.ok(isAscii(octets), 'travels without 8BITMIME')
  const report = splitMime(octets)
  assert.deepEqual([...report.fields.keys()], FIELD_NAMES)
  assert.equal(report.parts.length, 3)
  const { text, html, status } = readNotice(notice)
  for (const part of [text, html, status, Buffer.from(notice.meta.header).toString()]) {
    assert.doesNotMatch(part, UNSAFE)
  }
  for (const line of status.split('\n')) assert.match(line, STATUS_FIELDS)
  assert.equal(status.match(/^Action: /gm)?.length, 1)
  assert.equal(status.trimEnd().split('\n\n').length, 2, 'one block for the message, one for its recipient')
  const tags = new Set([...html.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, name]) => name ?? ''))
  for (const tag of tags) assert.ok(TAGS.includes(tag), `<${tag}>`)
  for (const line of octets.toString('latin1').split('\r\n')) assert.ok(line.length <= 998)
}

test('N1: script in the subject stands in the HTML part as text', async () => {
  const subject = `<script>alert('x')</script><img src=x onerror="y">`
  const message = messageMeta({ header: HEADER.replace('Angebot Nr. 7', subject) })
  const notice = await noticeAbout({ claim: claimOf({ message }), outcome: failure() })
  assertIntact(notice)
  const { html } = readNotice(notice)
  const escaped = '&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&lt;img src=x onerror=&quot;y&quot;&gt;'
  assert.ok(html.includes(`Subject: <b>${escaped}</b>`))
  assert.ok(html.includes(`<title>Not delivered to max@kunde.example: ${escaped}</title>`))
})

test('N1: CRLF hidden in an encoded subject adds no field and no part', async () => {
  const hidden = Buffer.from('a\r\nBcc: x@evil.example\r\n\r\n--=_-01k9notcefghjkmnpq-Part_2--\r\n').toString(
    'base64',
  )
  const message = messageMeta({ header: HEADER.replace('Angebot Nr. 7', `=?utf-8?B?${hidden}?=`) })
  const notice = await noticeAbout({ claim: claimOf({ message }), outcome: failure() })
  assertIntact(notice)
  assert.match(readNotice(notice).text, /^Subject: a {2}Bcc: x@evil\.example/m)
})

test('N1: a subject that looks encoded after decoding is not decoded a second time', async () => {
  const once = Buffer.from('=?utf-8?Q?Hallo=0D=0ABcc:x?=').toString('base64')
  const message = messageMeta({ header: HEADER.replace('Angebot Nr. 7', `=?utf-8?B?${once}?=`) })
  const notice = await noticeAbout({ claim: claimOf({ message }), outcome: failure() })
  assertIntact(notice)
  const python = readWithPython(notice)
  if (python) {
    assert.equal(
      new Map(python.fields).get('Subject'),
      'Not delivered to max@kunde.example: =?utf-8?Q?Hallo=0D=0ABcc:x?=',
    )
  }
})

test('N1: CRLF, terminal escapes and bidi overrides in a reply add no field and move no text', async () => {
  const reply = decodeReply(550, [
    '5.1.1 no\r\nAction: delivered\r\n\r\nFinal-Recipient: rfc822; x@evil.example',
    '5.1.1 \u001b[2J\u001b]0;owned\u0007 \u0085 \u202egpj.exe\u0000 <script>alert(1)</script>',
  ])
  const notice = await noticeAbout({ claim: claimOf(), outcome: failure({ reply }) })
  assertIntact(notice)
  const { status, html, text } = readNotice(notice)
  assert.match(status, /^Action: failed$/m)
  assert.match(
    text,
    /Message: 550 5\.1\.1 no {2}Action: delivered {4}Final-Recipient: rfc822; x@evil\.example/,
  )
  assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/)
})

test('N1: a reply without end is cut, for people shorter than for machines', async () => {
  for (const word of ['x'.repeat(50_000), 'many words '.repeat(5_000), 'ä'.repeat(50_000)]) {
    const notice = await noticeAbout({
      claim: claimOf(),
      outcome: failure({ reply: decodeReply(550, [word]) }),
    })
    assertIntact(notice)
    const { text, status } = readNotice(notice)
    const shown = /Message: (.*)\n/.exec(text)?.[1] ?? ''
    assert.ok(shown.endsWith('…') && [...shown].length === 500, String(shown.length))
    assert.ok(status.length < 4000)
    assert.ok(octetsOf(notice).length < 32_000)
  }
})

test('N1: a host name, a network address or a detail that is none adds nothing', async () => {
  const place = { mxHost: 'mx\r\nAction: delivered', address: '<b>1.2.3.4', port: 25 }
  const notice = await noticeAbout({
    claim: claimOf(),
    outcome: failure({ reply: null, detail: 'odd\r\nStatus: 2.0.0', place }),
  })
  assertIntact(notice)
  assert.doesNotMatch(readNotice(notice).status, /Remote-MTA/)
})

test('N1: ORCPT and ENVID that decode to line breaks add no field', async () => {
  const evil = encodeXtext('max@kunde.example\r\nAction: delivered\r\n\r\n')
  const message = messageMeta({
    envelope: { dsn: { ret: null, envid: encodeXtext('a\r\nReporting-MTA: x') } },
  })
  const claim = claimOf({ message, dsn: { notify: null, orcpt: `rfc822;${evil}` } })
  const notice = await noticeAbout({ claim, outcome: failure() })
  assertIntact(notice)
  assert.match(readNotice(notice).status, /^Original-Envelope-Id: a {2}Reporting-MTA: x$/m)
})

test('N1: a Message-ID that is not one is not repeated', async () => {
  const ids = ['<a@b>\r\n <c@d>', 'abc', '<a b@c>', `<${'x'.repeat(300)}@y>`, '<a@b>; (x)', '<ä@b>']
  for (const id of ids) {
    const message = messageMeta({ header: HEADER.replace('<abc.123@buero.example>', id) })
    const { fields } = readNotice(await noticeAbout({ claim: claimOf({ message }), outcome: failure() }))
    assert.equal(fields.get('in-reply-to'), undefined, id)
    assert.equal(fields.get('references'), undefined, id)
  }
})

test('N1: quoted local parts with brackets, quotes and spaces leave exactly as they came', async () => {
  const text = '"<a>, b;\\" c"@kunde.example'
  const notice = await noticeAbout({ claim: claimOf({ address: text }), outcome: failure() })
  assert.match(readNotice(notice).status, /^Final-Recipient: rfc822; "<a>, b;\\" c"@kunde\.example$/m)
  assert.ok(readNotice(notice).html.includes('&quot;&lt;a&gt;, b;\\&quot; c&quot;@kunde.example'))
})

test('N1: whatever subject and reply hold, the notice keeps its form', async () => {
  const pieces = fc.constantFrom(
    '\r\n',
    '\n',
    '\r',
    '\0',
    '\u001b[31m',
    '\u0085',
    '\u2028',
    '\u202e',
    '<script>',
    '</title>',
    '"',
    '&',
    '{{name}}',
    '{{#steps}}',
    '--=_-01k9notcefghjkmnpq-Part_2',
    '=?utf-8?Q?=0D=0A?=',
    '.',
    'ä',
    '\ud800',
    '😀',
    ' ',
    '\t',
    'Action: delivered',
  )
  const wild = fc.array(pieces, { maxLength: 15 }).map((parts) => parts.join(''))
  await fc.assert(
    fc.asyncProperty(wild, wild, async (subject, words) => {
      const encoded = Buffer.from(subject).toString('base64')
      const message = messageMeta({ header: HEADER.replace('Angebot Nr. 7', `=?utf-8?B?${encoded}?=`) })
      const claim = claimOf({ message, dsn: { notify: ['success', 'failure'], orcpt: null } })
      assertIntact(
        await noticeAbout({ claim, outcome: failure({ reply: decodeReply(550, [words, words]) }) }),
      )
      assertIntact(
        await noticeAbout(
          { claim, outcome: delivered({ reply: decodeReply(250, [words]), place: PLACE }) },
          'relayed',
        ),
      )
    }),
    { numRuns: 60 },
  )
})
