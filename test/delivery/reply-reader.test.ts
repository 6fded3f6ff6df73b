import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { ReplyReader } from '../../src/delivery/client/reply-reader.ts'
import { formatReply } from '../../src/smtp/reply.ts'

function read(...chunks: readonly (string | Buffer)[]): { replies: string[]; fault: string | null } {
  const reader = new ReplyReader()
  for (const chunk of chunks) reader.push(Buffer.from(chunk))
  const replies: string[] = []
  for (let reply = reader.next(); reply !== null; reply = reader.next()) replies.push(formatReply(reply))
  return { replies, fault: reader.fault }
}

const valid: readonly [name: string, chunks: readonly (string | Buffer)[], replies: readonly string[]][] = [
  ['one line', ['250 OK\r\n'], ['250 OK']],
  ['code only', ['250\r\n', '250 \r\n'], ['250', '250']],
  ['several lines', ['250-a\r\n250-b\r\n250 c\r\n'], ['250 a b c']],
  ['an enhanced code on each line', ['550-5.1.1 no\r\n550 5.1.1 such user\r\n'], ['550 5.1.1 no such user']],
  ['octet by octet', [...'250-a\r\n250 b\r\n'], ['250 a b']],
  ['several replies in one read', ['250 a\r\n250 b\r\n354 c\r\n'], ['250 a', '250 b', '354 c']],
  ['bare LF as line end', ['250-a\n250 b\n'], ['250 a b']],
  ['terminal escapes, NUL and bidi', ['550 \u001b[31mred\u0000 \u202ex\r\n'], ['550 [31mred   x']],
  ['octets that are no UTF-8', [Buffer.from('550 caf\xe9\r\n', 'latin1')], ['550 caf\ufffd']],
  ['a line of 8 KB, cut', [`250 ${'x'.repeat(8000)}\r\n`], [`250 ${'x'.repeat(1000)}`]],
]
for (const [name, chunks, replies] of valid) {
  test(`reply reader: takes ${name}`, () => {
    assert.deepEqual(read(...chunks), { replies, fault: null })
  })
}

const invalid: readonly [name: string, chunks: readonly string[], fault: string][] = [
  ['no code', ['hello\r\n'], 'malformed'],
  ['an empty line', ['\r\n'], 'malformed'],
  ['a code below 200', ['150 x\r\n'], 'malformed'],
  ['a code above 599', ['650 x\r\n'], 'malformed'],
  ['a separator that is none', ['250+x\r\n'], 'malformed'],
  ['a code that changes within a reply', ['250-a\r\n251 b\r\n'], 'malformed'],
  ['a line without end', ['250 ', 'x'.repeat(9000)], 'line-too-long'],
  ['a line over 8 KB', [`250 ${'x'.repeat(9000)}\r\n`], 'line-too-long'],
  ['a reply without end', ['250-x\r\n'.repeat(101)], 'too-many-lines'],
  ['more replies than anybody asked for', ['250 x\r\n'.repeat(200)], 'unsolicited'],
]
for (const [name, chunks, fault] of invalid) {
  test(`wire outwards: reply reader ends at ${name}`, () => {
    assert.equal(read(...chunks).fault, fault)
  })
}

test('reply reader: what was complete before a fault can still be taken', () => {
  assert.deepEqual(read('250 OK\r\nrubbish\r\n250 more\r\n'), { replies: ['250 OK'], fault: 'malformed' })
})

test('reply reader: never throws, and reads the same however the octets are cut', () => {
  const pieces = fc.oneof(
    fc.constantFrom('250 ok\r\n', '250-', '550', '\r\n', '\n', '5.1.1 ', '354 go\r\n', '250 2.0.0 x\r\n'),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 30 }),
      fc.array(fc.nat(40), { maxLength: 30 }),
      (texts, cuts) => {
        const whole = Buffer.from(texts.join(''))
        const chunks: Buffer[] = []
        let at = 0
        for (const cut of cuts) {
          chunks.push(whole.subarray(at, at + cut))
          at += cut
        }
        chunks.push(whole.subarray(at))
        assert.deepEqual(read(...chunks), read(whole))
        for (const reply of read(whole).replies) assert.doesNotMatch(reply, /\p{Cc}/u)
      },
    ),
    { numRuns: 2000 },
  )
})
