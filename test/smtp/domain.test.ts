import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isWithin, parseDomain } from '../../src/smtp/domain.ts'

describe('a domain is an A-label host name or nothing', () => {
  const valid: [string, string][] = [
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['localhost', 'localhost'],
    ['müller.de', 'xn--mller-kva.de'],
    ['MÜLLER.DE', 'xn--mller-kva.de'],
    ['mu\u0308ller.de', 'xn--mller-kva.de'],
    ['xn--mller-kva.de', 'xn--mller-kva.de'],
    ['faß.de', 'xn--fa-hia.de'],
    ['3com.com', '3com.com'],
    ['a-b.example', 'a-b.example'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah'],
  ]
  for (const [text, expected] of valid)
    test(`${text} is ${expected}`, () => assert.equal(parseDomain(text), expected))
  const invalid = [
    '',
    '.',
    'a..b',
    '.a',
    'a.',
    '-a.de',
    'a-.de',
    'a_b.de',
    'a b.de',
    'a%61.de',
    '127.1',
    '127.0.0.1',
    '0x7f.1',
    '0x7f.0x1',
    '[127.0.0.1]',
    'a@b.de',
    'ｅxample.com',
    'example。com',
    'ex\u200bample.com',
    'xn--x-ka.de',
    'xn--a.de',
    'xn--x-pgn.de',
    'xn--ab-r13a.de',
    'xn--.de',
    'a\0.de',
    'a\r\n.de',
    `${'a'.repeat(64)}.de`,
    `${'a.'.repeat(127)}de`,
  ]
  for (const text of invalid)
    test(`${JSON.stringify(text).slice(0, 40)} is none`, () => assert.equal(parseDomain(text), null))
})

test('a name lies within a domain by whole labels only', () => {
  const [parent, child, other] = [parseDomain('b.de'), parseDomain('a.b.de'), parseDomain('ab.de')]
  assert.ok(parent && child && other)
  assert.deepEqual(
    [isWithin(child, parent), isWithin(parent, parent), isWithin(other, parent)],
    [true, true, false],
  )
})
