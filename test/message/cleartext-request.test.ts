import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import libmime from 'libmime'
import { type CleartextRequest, readCleartextRequest } from '../../src/message/cleartext-request.ts'
import { headerOf } from './header-fixture.ts'

interface SubjectCase {
  readonly name: string
  readonly subject: string
  readonly octets?: 'latin1'
  readonly expect: 'subject-tag' | 'none' | 'look-alike'
}

const corpus: readonly SubjectCase[] = JSON.parse(
  readFileSync(new URL('../corpus/subjects.json', import.meta.url), 'utf8'),
)

const ANYWHERE = { position: 'anywhere' } as const
const FRONT = { position: 'front' } as const

const summary = (request: CleartextRequest): string => {
  switch (request.kind) {
    case 'none':
      return 'none'
    case 'requested':
      return request.source
    case 'unclear':
      return request.what
  }
}

const read = (
  header: string,
  octets: 'utf8' | 'latin1' = 'utf8',
  settings: typeof ANYWHERE | typeof FRONT = ANYWHERE,
) => summary(readCleartextRequest(headerOf(header, octets), settings))

describe('M4: [Klartext] in the subject', () => {
  for (const { name, subject, octets, expect } of corpus) {
    test(`M4: ${name}: ${expect}`, () => {
      assert.equal(read(`From: a@a.test\r\nSubject: ${subject}\r\nTo: b@b.test\r\n`, octets), expect)
    })
  }

  const front: [string, string][] = [
    ['[Klartext] x', 'subject-tag'],
    ['=?utf-8?Q?=5BKlartext=5D_=C3=BC?=', 'subject-tag'],
    ['=?utf-8?Q?_=5BKlartext=5D_=C3=BC?=', 'subject-tag'],
    ['AW: [Klartext] x', 'none'],
    ['AW: ［Klartext］ x', 'none'],
    ['［Klartext］ x', 'look-alike'],
    ['x [Klartext]', 'none'],
  ]
  for (const [subject, expected] of front) {
    test(`M4: position front: ${subject}: ${expected}`, () => {
      assert.equal(read(`Subject: ${subject}\r\n`, 'utf8', FRONT), expected)
    })
  }

  test('M4: whatever stands around it and however libmime encodes it, the tag is found', () => {
    const text = fc.string({ unit: fc.constantFrom(...'aäß€ [](){}?=_-.:😀日'), maxLength: 40 })
    fc.assert(
      fc.property(
        text,
        text,
        fc.constantFrom('Q', 'B'),
        fc.integer({ min: 20, max: 76 }),
        (before, after, encoding, length) => {
          const encoded = libmime.encodeWord(`${before}[Klartext]${after}`, encoding, length)
          assert.equal(read(`Subject: ${encoded.replaceAll('?= =?', '?=\r\n =?')}\r\n`), 'subject-tag')
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('M4: without the word there is neither a request nor a doubt', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]Klartx =?üQB_😀'), maxLength: 60 }), (subject) => {
        assert.equal(read(`Subject: ${subject}\r\n x\r\n`), 'none')
      }),
      { numRuns: 2000 },
    )
  })
})

describe('M5: the other spellings', () => {
  const cases: [string, string, string][] = [
    ['no field at all', 'To: b@b.test\r\n', 'none'],
    ['X-klartext: yes', 'X-klartext: yes\r\n', 'x-klartext'],
    ['X-Klartext in other case', 'X-KLARTEXT:  YES \r\n', 'x-klartext'],
    ['X-klartext folded', 'X-klartext:\r\n yes\r\n', 'x-klartext'],
    ['X-klartext: no', 'X-klartext: no\r\n', 'none'],
    ['X-klartext: yes please', 'X-klartext: yes please\r\n', 'none'],
    ['X-klartext empty', 'X-klartext:\r\n', 'none'],
    ['X-klartext twice', 'X-klartext: yes\r\nX-klartext: yes\r\n', 'none'],
    ['X-klartext encoded', 'X-klartext: =?utf-8?Q?yes?=\r\n', 'none'],
    ['TLS-Required: No (RFC 8689)', 'TLS-Required: No\r\n', 'tls-required-no'],
    ['TLS-Required in other case', 'tls-required: NO\r\n', 'tls-required-no'],
    ['TLS-Required: Yes', 'TLS-Required: Yes\r\n', 'none'],
    ['TLS-Required twice is ignored', 'TLS-Required: No\r\nTLS-Required: No\r\n', 'none'],
    ['subject before X-klartext', 'X-klartext: yes\r\nSubject: [Klartext]\r\n', 'subject-tag'],
    ['X-klartext before TLS-Required', 'TLS-Required: No\r\nX-klartext: yes\r\n', 'x-klartext'],
    [
      'X-klartext twice, TLS-Required once',
      'X-klartext: yes\r\nX-klartext: yes\r\nTLS-Required: No\r\n',
      'tls-required-no',
    ],
    ['a plain request settles a look-alike', 'Subject: ［Klartext］\r\nX-klartext: yes\r\n', 'x-klartext'],
    ['two subjects', 'Subject: a\r\nSubject: b\r\n', 'several-subjects'],
    ['two subjects, one with the tag', 'Subject: a\r\nSUBJECT: [Klartext]\r\n', 'several-subjects'],
    ['two subjects and X-klartext', 'Subject: a\r\nSubject: b\r\nX-klartext: yes\r\n', 'several-subjects'],
    [
      'the tag in another field',
      'Comments: [Klartext]\r\nSubject: x\r\nThread-Topic: [Klartext]\r\n',
      'none',
    ],
  ]
  for (const [name, header, expected] of cases) {
    test(`M5: ${name}: ${expected}`, () => {
      assert.equal(read(header), expected)
    })
  }
})
