import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodedFieldText, decodeWords } from '../../src/message/encoded-words.ts'
import { headerOf } from './header-fixture.ts'

describe('encoded words', () => {
  const cases: [string, string][] = [
    ['plain', 'plain'],
    ['=?utf-8?Q?Gr=C3=BC=C3=9Fe_an_alle?=', 'Grüße an alle'],
    ['=?iso-8859-1?q?Gr=FC=DFe?= aus =?windows-1252?Q?K=F6ln_=96_=80?=', 'Grüße aus Köln – €'],
    ['=?utf-8?B?R3LDvMOf?= =?utf-8?B?ZQ==?=', 'Grüße'],
    ['=?utf-8?Q?Gr=C3?=\t=?utf-8?Q?=BC=C3=9Fe?=', 'Grüße'],
    ['=?utf-8?Q?a?= b =?utf-8?Q?c?=', 'a b c'],
    ['=?utf-8*de-DE?Q?=C3=BC?=', 'ü'],
    ['=?ANSI_X3.4-1968?Q?a=5Bb?=', 'a[b'],
    ['=?ISO_8859-1:1987?Q?=FC?=', 'ü'],
    ['=?utf-7?Q?+AFs-?=', '+AFs-'],
    ['=?utf-8?X?abc?=', '=?utf-8?X?abc?='],
    ['=?utf-8?Q?open', '=?utf-8?Q?open'],
    ['ü =?utf-8?Q?=C3=BC?=', 'ü ü'],
  ]
  for (const [value, text] of cases) test(value, () => assert.equal(decodeWords(value), text))

  test('a folded field in ISO-8859-1 octets is read all the same', () => {
    const [field] = headerOf('Subject: M\u00fcnchen\r\n =?utf-8?Q?=C3=BC?=\r\n', 'latin1').fields
    assert.ok(field)
    assert.equal(decodedFieldText(field), 'München ü')
  })

  test('any text decodes to some text', () => {
    const piece = fc.constantFrom(
      '=?',
      '?=',
      '?',
      'utf-8',
      'Q',
      'b',
      '=C3',
      '_',
      ' ',
      'YQ==',
      '*',
      '__proto__',
      ':1987',
      'ü',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        assert.equal(typeof decodeWords(pieces.join('')), 'string')
      }),
      { numRuns: 5000 },
    )
  })
})
