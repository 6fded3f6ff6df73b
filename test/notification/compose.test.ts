import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ComposedField, composeMessage, foldField } from '../../src/message/compose.ts'
import { claimOf, failure, messageMeta, NOW, plannerWith } from './fixtures.ts'
import { readNotice } from './mime.ts'

const content = {
  kind: 'octets',
  contentType: 'text/x',
  encoding: '7bit',
  content: Buffer.from('x\r\n'),
} as const

const fields: readonly [field: ComposedField, written: string][] = [
  [{ name: 'Subject', form: 'text', value: 'plain (text), "quoted"' }, 'Subject: plain (text), "quoted"'],
  [{ name: 'Subject', form: 'text', value: 'Grüße' }, 'Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?='],
  [
    { name: 'Subject', form: 'text', value: 'see =?x?Q?y?=' },
    'Subject: =?UTF-8?Q?see_=3D=3Fx=3FQ=3Fy=3F=3D?=',
  ],
  [{ name: 'Subject', form: 'text', value: 'a\r\nBcc: b\0' }, 'Subject: a Bcc: b'],
  [
    { name: 'Subject', form: 'text', value: `${'word '.repeat(20)}end` },
    `Subject:${' word'.repeat(13)}\r\n${' word'.repeat(7)} end`,
  ],
  [{ name: 'To', form: 'exact', value: '<"<a>, b"@x.example>' }, 'To: <"<a>, b"@x.example>'],
  [{ name: 'To', form: 'exact', value: '<a@x>\r\nBcc: <b@x>' }, 'To: <a@x> Bcc: <b@x>'],
  [{ name: 'From', form: 'phrase', phrase: 'Mail System', address: 'a@x' }, 'From: Mail System <a@x>'],
  [
    { name: 'From', form: 'phrase', phrase: 'Mail, "System"', address: 'a@x' },
    'From: "Mail, \\"System\\"" <a@x>',
  ],
  [
    { name: 'From', form: 'phrase', phrase: 'Müller <b@y>', address: 'a@x' },
    'From: =?UTF-8?Q?M=C3=BCller_=3Cb=40y=3E?= <a@x>',
  ],
]

for (const [field, written] of fields) {
  test(`N1: the ${field.form} field ${JSON.stringify(field)} leaves as it should`, async () => {
    const composed = await composeMessage([field], content, 'seed')
    const parts = [
      written,
      'MIME-Version: 1.0',
      'Content-Type: text/x',
      'Content-Transfer-Encoding: 7bit',
      '',
    ]
    assert.equal(composed.header.toString(), parts.join('\r\n'))
    assert.equal(composed.body.toString(), '\r\nx\r\n')
    assert.deepEqual([composed.eightBit, composed.headerUtf8], [false, false])
  })
}

test('N1: the same parts compose to the same octets, and 8-bit content is marked', async () => {
  const octets = { ...content, encoding: '8bit', content: Buffer.from('ä\r\n.x\r\n') } as const
  const compose = () =>
    composeMessage(
      [{ name: 'To', form: 'exact', value: '<ä@x>' }],
      { kind: 'multipart', contentType: 'multipart/mixed', parts: [octets] },
      'seed',
    )
  const [first, second] = [await compose(), await compose()]
  assert.deepEqual(first, second)
  assert.deepEqual([first.eightBit, first.headerUtf8], [true, true])
  assert.equal(
    first.body.toString(),
    '\r\n--=_-seed-Part_2\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nä\r\n..x\r\n\r\n--=_-seed-Part_2--\r\n',
  )
})

test('N1: no field has a line over 998 octets, whatever it holds', () => {
  for (const word of ['x'.repeat(5000), 'ä'.repeat(5000), `${'x'.repeat(2000)} y`]) {
    const lines = foldField('Diagnostic-Code', `smtp; ${word}`).split('\r\n')
    for (const line of lines) assert.ok(Buffer.byteLength(line) <= 998)
    for (const line of lines.slice(1)) assert.match(line, /^ \S/)
  }
})

test('N3: a returned header with endless lines or octets of no charset comes back as it was', async () => {
  for (const value of [
    Buffer.from('x'.repeat(5000)),
    Buffer.from([0x47, 0x72, 0xfc, 0xdf, 0x65]),
    Buffer.from('Grüße'),
  ]) {
    const header = Buffer.concat([Buffer.from('Subject: a\r\nX-Odd: '), value, Buffer.from('\r\n')])
    const message = { ...messageMeta(), header }
    const planner = await plannerWith()
    const [notice] = await planner.plan(
      'failed',
      message,
      [{ claim: claimOf({ message }), outcome: failure() }],
      NOW,
    )
    assert.ok(notice)
    assert.equal(notice.meta.eightBit, false)
    assert.equal(readNotice(notice).header, header.toString('utf8'))
  }
})
