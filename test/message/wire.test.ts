import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createUnstuffer, DataReader, stuffDots, unstuffDots } from '../../src/message/wire.ts'

/** Feeds `text` cut at `cuts`; the content, what followed the end (`null` = no end), and the verdicts. */
function read(text: string, cuts: readonly number[] = [], lineMax = 998) {
  const reader = new DataReader(lineMax)
  const bytes = Buffer.from(text, 'latin1')
  const edges = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let content = ''
  let from = 0
  for (const to of [...edges, bytes.length]) {
    const slice = reader.feed(bytes.subarray(from, to))
    content += slice.content.toString('latin1')
    from = to
    if (slice.rest !== null) {
      return {
        content,
        rest: slice.rest.toString('latin1') + bytes.subarray(to).toString('latin1'),
        problem: reader.problem,
        eightBit: reader.eightBit,
      }
    }
  }
  return { content, rest: null, problem: reader.problem, eightBit: reader.eightBit }
}

const everyCut = (text: string): number[][] =>
  Array.from({ length: text.length }, (_, at) => [at, at + 1, at + 2])

describe('the end of data', () => {
  const ends: [string, string, string, string][] = [
    ['an ordinary message', 'a: b\r\n\r\nbody\r\n.\r\n', 'a: b\r\n\r\nbody\r\n', ''],
    ['an empty message', '.\r\n', '', ''],
    ['what was pipelined after it', 'x\r\n.\r\nQUIT\r\n', 'x\r\n', 'QUIT\r\n'],
    ['a line that begins with a doubled dot', '..\r\n.\r\n', '..\r\n', ''],
    ['a dot after CR CRLF', 'x\r\r\n.\r\n', 'x\r\r\n', ''],
  ]
  for (const [name, text, content, rest] of ends) {
    test(`is found after ${name}, however the octets are cut`, () => {
      for (const cuts of [[], ...everyCut(text)]) {
        const result = read(text, cuts)
        assert.deepEqual([result.content, result.rest], [content, rest], `cut at ${cuts}`)
      }
    })
  }
  const gadgets = [
    '\n.\n',
    '\r.\r',
    '\n.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r.\r\n',
    '\r.\n',
    '\n.\r',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
    '\r\n.\r\r\n',
    '\r\n. \r\n',
  ]
  for (const gadget of gadgets) {
    test(`is not ${JSON.stringify(gadget)}, however the octets are cut`, () => {
      const text = `x: y\r\n\r\nbody${gadget}MAIL FROM:<a@b>\r\n.\r\n`
      for (const cuts of [[], ...everyCut(text)]) {
        const result = read(text, cuts)
        assert.equal(result.content, `x: y\r\n\r\nbody${gadget}MAIL FROM:<a@b>\r\n`)
        assert.equal(result.problem, gadget === '\r\n. \r\n' ? null : 'line-ends')
      }
    })
  }
})

describe('line checks', () => {
  test('a line of exactly the limit passes and one octet more does not, however it is cut', () => {
    for (const [length, problem] of [
      [998, null],
      [999, 'line-too-long'],
    ] as const) {
      const text = `${'x'.repeat(length)}\r\n.\r\n`
      for (const cuts of [[], [1], [500], [length], [length + 1], [length + 2]]) {
        assert.equal(read(text, cuts).problem, problem, `${length} cut at ${cuts}`)
      }
    }
  })
  test('an octet above 127 is noticed', () => {
    assert.equal(read('caf\xe9\r\n.\r\n').eightBit, true)
    assert.equal(read('cafe\r\n.\r\n').eightBit, false)
  })
  test('any text of CR, LF, dot and letters gives the same result however it is cut', () => {
    const piece = fc.constantFrom('\r', '\n', '.', 'a', '\r\n', '\r\n.', '\0')
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(60), { maxLength: 8 }),
        (pieces, cuts) => {
          const text = `${pieces.join('')}\r\n.\r\n`
          const whole = read(text)
          const cut = read(text, cuts)
          assert.deepEqual(
            { ...cut, problem: cut.problem !== null },
            { ...whole, problem: whole.problem !== null },
          )
        },
      ),
      { numRuns: 3000 },
    )
  })
})

describe('dot-stuffing', () => {
  test('leading dots are doubled and nothing else', () => {
    assert.equal(stuffDots(Buffer.from('.a\r\n..b\r\nc.\r\n.\r\n')).toString(), '..a\r\n...b\r\nc.\r\n..\r\n')
  })
  test('a doubled dot is undone across any cut, and stuffing is its inverse', () => {
    const piece = fc.constantFrom('\r\n', '.', 'a', '\r\n.', '..')
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(60), { maxLength: 8 }),
        (pieces, cuts) => {
          const plain = pieces.join('')
          const wire = stuffDots(Buffer.from(plain))
          assert.equal(unstuffDots(wire).toString(), plain)
          const unstuff = createUnstuffer()
          let streamed = ''
          let from = 0
          for (const to of [
            ...cuts.map((cut) => cut % (wire.length + 1)).sort((a, b) => a - b),
            wire.length,
          ]) {
            streamed += Buffer.concat(unstuff(wire.subarray(from, to))).toString()
            from = Math.max(from, to)
          }
          assert.equal(streamed, plain)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
