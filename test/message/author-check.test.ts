import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import libmime from 'libmime'
import addressparser from 'nodemailer/lib/addressparser'
import { checkAuthor } from '../../src/message/author-check.ts'
import { parseHeaderBlock } from '../../src/message/header-block.ts'
import { type Mailbox, mailboxFrom, mailboxKey, type ReversePath } from '../../src/smtp/mailbox.ts'

interface AuthorCase {
  readonly name: string
  readonly header: string
  /** Reverse-path; `a@a.test` when it is not given. */
  readonly path?: string | null
  readonly octets?: 'latin1'
  /** `ok`, `header-malformed`, or the id of the reply. */
  readonly expect: string
}

const corpus: readonly AuthorCase[] = JSON.parse(
  readFileSync(new URL('../corpus/authors.json', import.meta.url), 'utf8'),
)

const LIMITS = { fieldsMax: 100, octetsMax: 65_536 }

const isLicensed = (mailbox: Mailbox): boolean => ['a@a.test', 'c@a.test'].includes(mailboxKey(mailbox))

function pathOf(text: string | null = 'a@a.test'): ReversePath {
  if (text === null) return null
  const mailbox = mailboxFrom(text)
  assert.ok(mailbox)
  return mailbox
}

function judge(header: Buffer, path: ReversePath) {
  const parsed = parseHeaderBlock(header, LIMITS)
  if (parsed.kind !== 'header') return { id: 'header-malformed', reply: null, author: null }
  const verdict = checkAuthor(parsed.header, path, isLicensed)
  return verdict.kind === 'ok'
    ? { id: 'ok', reply: null, author: verdict.author }
    : { id: verdict.reply.id, reply: verdict.reply, author: null }
}

/** What other readers take for the author: libmime's header parser, then nodemailer's address parser. */
function otherReadings(header: Buffer): string[][] {
  const values = libmime.decodeHeaders(header.toString('utf8'))['from'] ?? []
  const read = (value: string) =>
    addressparser(value, { flatten: true }).map(({ address }) => {
      const mailbox = mailboxFrom(address)
      return mailbox === null ? `?${address}` : mailboxKey(mailbox)
    })
  return [values.flatMap(read), values.map((value) => libmime.decodeWords(value)).flatMap(read)]
}

describe('S5: the author corpus', () => {
  for (const { name, header, path, octets = 'utf8', expect } of corpus) {
    test(`S5: ${name}: ${expect}`, () => {
      assert.equal(judge(Buffer.from(header, octets), pathOf(path)).id, expect)
    })
  }

  test('S5: what is accepted, other parsers read alike', () => {
    for (const { header, path, octets = 'utf8' } of corpus) {
      const bytes = Buffer.from(header, octets)
      const { author } = judge(bytes, pathOf(path))
      if (author === null) continue
      assert.deepEqual(otherReadings(bytes)[0], [mailboxKey(author)], header)
    }
  })
})

describe('S5: replies', () => {
  const replies: [string, string | null, string][] = [
    [
      'To: x@x.test\r\n',
      'a@a.test',
      '550 5.7.1 The message has no From field; it must hold exactly the sender address a@a.test',
    ],
    [
      'From: evil@x.test\r\n',
      'a@a.test',
      '550 5.7.1 The From field names evil@x.test, but the envelope sender is a@a.test; both must be the same',
    ],
    [
      'From: <@x:a@a.test>\r\n',
      'a@a.test',
      '550 5.7.1 The From field cannot be read without doubt: its address holds a route; write it as Name <a@a.test>',
    ],
    [
      'From: evil@x.test\r\n',
      null,
      '550 5.7.1 The From field names evil@x.test, which is not licensed for this account',
    ],
    [
      'From: a@a.test\r\nSender: a@a.test, c@a.test\r\n',
      'a@a.test',
      '550 5.7.1 The Sender field cannot be read without doubt: it names several; correct or remove it',
    ],
  ]
  for (const [header, path, text] of replies) {
    test(`S5: ${text}`, () => {
      const { reply } = judge(Buffer.from(header), pathOf(path))
      assert.ok(reply)
      assert.equal(`${reply.code} ${reply.enhanced} ${reply.lines.join('\n')}`, text)
    })
  }
})

describe('S5: fuzz', () => {
  const pieces = [
    ...[
      'a@a.test',
      'evil@x.test',
      'A',
      '"',
      '\\',
      '<',
      '>',
      '(',
      ')',
      ',',
      ';',
      ':',
      '@',
      '.',
      ' ',
      '\t',
      '\r\n ',
    ],
    ...[
      '<a@a.test>',
      '<evil@x.test>',
      '"a b"',
      '\r\n',
      '\nFrom: ',
      '\rFrom: ',
      'From: ',
      'From:',
      'from:',
      'From :',
    ],
    ...[
      '=?utf-8?q?',
      '?=',
      '=?utf-8?b?',
      '=40',
      '=3C',
      '=3E',
      '=2C',
      '=22',
      'PGV2aWxAeC50ZXN0Pg==',
      '_',
      '[',
      ']',
    ],
    ...[
      '\u00a0',
      '\u2028',
      '\u200b',
      'ü',
      '\u0085',
      '\u000b',
      "'",
      'Sender: ',
      '=?utf-8?q?=3Cevil=40x.test=3E?=',
    ],
  ]
  const value = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 2 })), {
    maxLength: 9,
  })
  const tail = fc.constantFrom('a@a.test', '<a@a.test>', ' <a@a.test>', '')

  test('S5: nothing is accepted that addressparser or libmime read differently, with and without decoding', () => {
    let accepted = 0
    fc.assert(
      fc.property(value, tail, value, (before, address, after) => {
        const header = Buffer.from(`From: ${before.join('')}${address}${after.slice(0, 2).join('')}\r\n`)
        const { author } = judge(header, pathOf())
        if (author === null) return
        accepted++
        const [asWritten, decoded] = otherReadings(header)
        assert.deepEqual(asWritten, ['a@a.test'])
        assert.ok(decoded?.every((address) => address === 'a@a.test' || address === '?'))
        assert.ok(!/<[^<>]*evil@x\.test[^<>]*>/.test(libmime.decodeWords(header.toString())))
      }),
      { numRuns: 20_000, seed: 5 },
    )
    assert.ok(accepted > 100, `only ${accepted} accepted: the property says little`)
  })

  test('S5: any octets yield a verdict', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        judge(Buffer.concat([Buffer.from('From: '), octets, Buffer.from('\r\n')]), pathOf())
      }),
      { numRuns: 3000 },
    )
  })

  test('S5: hostile lengths are refused', () => {
    for (const piece of ['"a', '<', '(', '=?', '=?a?q?', ' a', '=?a?q?x?= ', ',', '@', '"\\"']) {
      const header = Buffer.from(`From: ${piece.repeat(60_000 / piece.length)} <a@a.test>\r\n`)
      assert.notEqual(judge(header, pathOf()).id, 'ok')
    }
  })
})
