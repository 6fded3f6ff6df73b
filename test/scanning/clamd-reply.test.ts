import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseReply, quoteReply } from '../../src/scanning/clamd-reply.ts'

const found = {
  'stream: Eicar-Signature FOUND\0': 'Eicar-Signature',
  'stream: Win.Test.EICAR_HDB-1 FOUND\0': 'Win.Test.EICAR_HDB-1',
  'stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0': 'Eicar',
  'stream: A name with blanks FOUND\0': 'A name with blanks',
} as const

const noVerdict = {
  '': 'clamd answered nothing',
  'stream: OK': 'clamd answered "stream: OK"',
  'stream: OK\n': 'clamd answered "stream: OK?"',
  'stream: OK\0\0': 'clamd answered "stream: OK?"',
  ' stream: OK\0': 'clamd answered " stream: OK"',
  'stream: ok\0': 'clamd answered "stream: ok"',
  '1: stream: OK\0': 'clamd answered "1: stream: OK"',
  'stream: FOUND\0': 'clamd answered "stream: FOUND"',
  'stream: X\r\n250 FOUND\0': 'clamd answered "stream: X?250 FOUND"',
  'INSTREAM size limit exceeded. ERROR\0': 'clamd answered "INSTREAM size limit exceeded. ERROR"',
  'stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0':
    'over a limit of clamd: Heuristics.Limits.Exceeded.MaxFileSize',
} as const

for (const [reply, signature] of Object.entries(found)) {
  test(`M1: ${quoteReply(reply)} is infected`, () => {
    assert.deepEqual(parseReply(reply), { kind: 'infected', signature })
  })
}

for (const [reply, reason] of Object.entries(noVerdict)) {
  test(`M1: ${JSON.stringify(reply)} is no verdict`, () => {
    assert.deepEqual(parseReply(reply), { kind: 'unavailable', reason })
  })
}

test('M1: nothing but the exact clean reply is clean, and no reply brings control characters into a log', () => {
  assert.deepEqual(parseReply('stream: OK\0'), { kind: 'clean' })
  const pieces = fc.constantFrom('stream: ', 'OK', ' FOUND', '\0', 'ERROR', '\r\n', 'X', ' ')
  const replies = fc.oneof(
    fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary-ascii', maxLength: 600 }),
  )
  fc.assert(
    fc.property(replies, (reply) => {
      const verdict = parseReply(reply)
      if (verdict.kind === 'clean') assert.equal(reply, 'stream: OK\0')
      const text = JSON.stringify(verdict)
      assert.match(text, /^[\x20-\x7e]{1,400}$/)
    }),
    { numRuns: 20_000 },
  )
})
