import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { findHeaderEnd, parseHeaderBlock, serialiseHeader } from '../../src/message/header-block.ts'
import { fieldsNamed, fieldText, hasUtf8, lenientFieldText } from '../../src/message/header-field.ts'
import { headerOf } from './header-fixture.ts'

const LIMITS = { fieldsMax: 10, octetsMax: 1000 }
const parse = (text: string) => parseHeaderBlock(Buffer.from(text, 'latin1'), LIMITS)

describe('the end of the header', () => {
  const ends: [string, string, number][] = [
    ['header and body', 'a: b\r\n\r\nbody\r\n', 6],
    ['header and empty body', 'a: b\r\n\r\n', 6],
    ['header only', 'a: b\r\n', 6],
    ['no header', '\r\nbody\r\n', 0],
    ['nothing', '', 0],
    ['two empty lines', 'a: b\r\n\r\n\r\nc: d\r\n', 6],
    ['body without an empty line', 'a: b\r\nbody\r\n', 12],
    ['a bare LF ends nothing', 'a: b\n\nbody\r\n', 12],
  ]
  for (const [name, message, end] of ends) {
    test(name, () => assert.equal(findHeaderEnd(Buffer.from(message)), end))
  }
})

describe('headers', () => {
  const valid: [string, string, [string, string][]][] = [
    ['empty', '', []],
    ['one field', 'Subject: x\r\n', [['Subject', 'x']]],
    ['no blank after the colon', 'Subject:x\r\n', [['Subject', 'x']]],
    ['colons in the value', 'a: b: c\r\n', [['a', 'b: c']]],
    [
      'empty value',
      'Bcc:\r\nTo: \r\n',
      [
        ['Bcc', ''],
        ['To', ''],
      ],
    ],
    [
      'folded',
      'Subject: a\r\n b\r\n\tc\r\nTo: d\r\n',
      [
        ['Subject', 'a b\tc'],
        ['To', 'd'],
      ],
    ],
    ['value begins after the fold', 'Subject:\r\n a\r\n', [['Subject', 'a']]],
    ['blanks at the end', 'Subject: a \t\r\n', [['Subject', 'a']]],
    ['odd but legal name', "X-!#$%&'*+/=?^`{|}~.0: a\r\n", [["X-!#$%&'*+/=?^`{|}~.0", 'a']]],
    [
      'same name twice',
      'a: 1\r\nA: 2\r\n',
      [
        ['a', '1'],
        ['A', '2'],
      ],
    ],
  ]
  for (const [name, text, fields] of valid) {
    test(`valid: ${name}`, () => {
      const header = headerOf(text)
      assert.deepEqual(
        header.fields.map((field) => [field.name, fieldText(field)]),
        fields,
      )
      assert.deepEqual(
        header.fields.map(({ key }) => key),
        fields.map(([key]) => key.toLowerCase()),
      )
      assert.equal(serialiseHeader(header.fields).toString(), text)
    })
  }

  const invalid: [string, string, string][] = [
    ['first line begins with a blank', ' a: b\r\n', 'its first line begins with a blank'],
    ['first line begins with a tab', '\ta: b\r\n', 'its first line begins with a blank'],
    ['no colon', 'a: b\r\nhello\r\n', 'field 2 has no colon'],
    ['no colon, folded', 'hello\r\n world\r\n', 'field 1 has no colon'],
    ['blank before the colon', 'From : a@a.test\r\n', 'field 1 has white space before the colon'],
    ['tab before the colon', 'From\t: a@a.test\r\n', 'field 1 has white space before the colon'],
    ['fold before the colon', 'From\r\n : a@a.test\r\n', 'field 1 has white space before the colon'],
    ['blank within the name', 'From x: a\r\n', 'field 1 has a name with characters that are not allowed'],
    [
      'octet above 127 in the name',
      'Fr\u00f6m: a\r\n',
      'field 1 has a name with characters that are not allowed',
    ],
    ['DEL in the name', 'Fr\u007fm: a\r\n', 'field 1 has a name with characters that are not allowed'],
    ['empty name', ': a\r\n', 'field 1 has a name with characters that are not allowed'],
    ['line of blanks', 'a: b\r\n \t\r\nc: d\r\n', 'it holds a line of blanks only'],
    ['line of blanks at the end', 'a: b\r\n \r\n', 'it holds a line of blanks only'],
    ['line of blanks at the start', ' \r\na: b\r\n', 'it holds a line of blanks only'],
    ['empty line within', 'a: b\r\n\r\nc: d\r\n', 'it holds a line of blanks only'],
    ['no line end at the end', 'a: b', 'its last line does not end'],
    ['bare LF', 'a: b\nc: d\r\n', 'it holds a control character or a bare CR or LF'],
    ['bare CR', 'a: b\rc: d\r\n', 'it holds a control character or a bare CR or LF'],
    ['CR CR LF', 'a: b\r\r\n', 'it holds a control character or a bare CR or LF'],
    ['NUL', 'a: b\0\r\n', 'it holds a control character or a bare CR or LF'],
    ['vertical tab', 'a: b\u000bc: d\r\n', 'it holds a control character or a bare CR or LF'],
    ['escape', 'a: \u001b[2J\r\n', 'it holds a control character or a bare CR or LF'],
  ]
  for (const [name, text, reason] of invalid) {
    test(`invalid: ${name}`, () => assert.deepEqual(parse(text), { kind: 'malformed', reason }))
  }

  test('too many fields or octets are too large, the limit itself is not', () => {
    assert.equal(parse('a: b\r\n'.repeat(10)).kind, 'header')
    assert.deepEqual(parse('a: b\r\n'.repeat(11)), { kind: 'too-large' })
    assert.equal(parse(`a: ${'b'.repeat(995)}\r\n`).kind, 'header')
    assert.deepEqual(parse(`a: ${'b'.repeat(996)}\r\n`), { kind: 'too-large' })
  })

  test('a field is a view of the header, not a copy', () => {
    const bytes = Buffer.from('a: b\r\nc: d\r\n')
    const parsed = parseHeaderBlock(bytes, LIMITS)
    assert.ok(parsed.kind === 'header')
    assert.deepEqual(
      parsed.header.fields.map(({ raw }) => raw.buffer === bytes.buffer),
      [true, true],
    )
  })

  test('10,000 fields or folds and a field of 1 MB are read without trouble', () => {
    const limits = { fieldsMax: 20_000, octetsMax: 2_000_000 }
    for (const text of [
      'a: b\r\n'.repeat(10_000),
      `a: b\r\n${' c\r\n'.repeat(10_000)}`,
      `a: ${'x'.repeat(1e6)}\r\n`,
    ]) {
      const parsed = parseHeaderBlock(Buffer.from(text), limits)
      assert.ok(parsed.kind === 'header')
      assert.equal(serialiseHeader(parsed.header.fields).toString(), text)
    }
  })
})

describe('fields', () => {
  test('fields of a name come in order, whatever their case', () => {
    const header = headerOf('To: 1\r\nX: 2\r\nTO: 3\r\n')
    assert.deepEqual(fieldsNamed(header, 'to').map(fieldText), ['1', '3'])
  })

  test('a value that is not UTF-8 is no text, but can be read leniently', () => {
    const [field] = headerOf('Subject: M\u00fcller\r\n x\r\n', 'latin1').fields
    assert.ok(field)
    assert.equal(fieldText(field), null)
    assert.equal(lenientFieldText(field), 'Müller x')
  })

  test('RFC 6532: an octet above 127 in a value is found', () => {
    assert.equal(hasUtf8(headerOf('a: b\r\nSubject: =?utf-8?Q?=C3=BC?=\r\n')), false)
    assert.equal(hasUtf8(headerOf('a: b\r\nSubject: ü\r\n')), true)
  })
})

describe('fuzz', () => {
  const odd = fc.constantFrom('From', ':', ' ', '\t', '\r\n', '\r', '\n', '\0', 'ü', '\u000b', '\r\n\r\n')
  const sound = fc.constantFrom(
    'x: y\r\n',
    'x:\r\n',
    ' y\r\n',
    'From: a: ü',
    '\r\n\t',
    'Subject:',
    '\r\n a\r\n',
  )
  const line = fc.array(fc.oneof({ arbitrary: sound, weight: 4 }, { arbitrary: odd, weight: 1 }), {
    maxLength: 8,
  })

  test('M3: what is taken comes back byte for byte, and each field is name, colon, value, CRLF', () => {
    let taken = 0
    fc.assert(
      fc.property(line, (pieces) => {
        const bytes = Buffer.from(`${pieces.join('')}\r\n`)
        const parsed = parseHeaderBlock(bytes, LIMITS)
        if (parsed.kind !== 'header') return
        taken++
        assert.deepEqual(serialiseHeader(parsed.header.fields), bytes)
        for (const { raw, name } of parsed.header.fields) {
          assert.match(raw.toString('latin1'), /^[!-9;-~]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n$/)
          assert.equal(raw.toString('latin1', 0, name.length + 1), `${name}:`)
        }
      }),
      { numRuns: 10_000, seed: 1 },
    )
    assert.ok(taken > 500, `only ${taken} taken`)
  })

  test('any octets yield a result', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
        const bytes = Buffer.from(octets)
        assert.ok(findHeaderEnd(bytes) <= bytes.length)
        parseHeaderBlock(bytes, LIMITS)
      }),
      { numRuns: 5000 },
    )
  })
})
