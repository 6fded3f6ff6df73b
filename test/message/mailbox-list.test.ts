import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseMailboxList, parseSingleMailbox } from '../../src/message/mailbox-list.ts'

// Who is read from a value; the hostile cases stand in test/corpus/authors.json.
describe('mailbox lists', () => {
  const valid: [string, string[]][] = [
    ['a@a.test', ['a@a.test']],
    ['a@a.test,b@b.test', ['a@a.test', 'b@b.test']],
    ['"Adams, A." <a@a.test> , B <b@b.test> (x)', ['a@a.test', 'b@b.test']],
    ['Bob <b@müller.test>', ['b@müller.test']],
  ]
  for (const [value, addresses] of valid) {
    test(`valid: ${value}`, () => {
      const parsed = parseMailboxList(value)
      assert.ok(parsed.kind === 'list')
      assert.deepEqual(
        parsed.mailboxes.map(({ text }) => text),
        addresses,
      )
    })
  }

  const invalid: [string, string][] = [
    ['a@a.test,', 'it has an empty place in its list'],
    ['a: b@b.test;', 'it is a group'],
    ['<a@a.test> <b@b.test>', 'it has more than one address in a row'],
    ['<@x.test:a@a.test>', 'its address holds a route'],
    ['<=?utf-8?q?a?=@a.test>', 'its address holds an encoded word'],
    ['<"a,b"@a.test>', 'its local-part is not plain'],
    ['<a@[127.0.0.1]>', 'its address has no domain name'],
    ['Alice', 'its address has no local-part or no domain'],
    ['Alice <a@a.test', 'an angle bracket has no counterpart'],
    ['"Alice <a@a.test>', 'a quoted text does not end or holds an unusual escape'],
    ['[A] <a@a.test>', 'it holds a character that must be quoted'],
    ['<"a"@a.test>, "Boss <b@b.test>" <a@a.test>', 'its display name reads like another address'],
    ['b@b.test <a@a.test>', 'its display name holds another address without quotes'],
    ['=?utf-8?Q?=1B=5B2J?= <a@a.test>', 'its display name holds a control character'],
    [`${'x'.repeat(4000)} <a@a.test>`, 'it is too long'],
  ]
  for (const [value, reason] of invalid) {
    test(`invalid: ${value.slice(0, 50)}`, () => {
      assert.deepEqual(parseMailboxList(value), { kind: 'unclear', reason })
    })
  }

  test('a single mailbox is one, none or several', () => {
    assert.equal(parseSingleMailbox('a@a.test').kind, 'one')
    assert.deepEqual(parseSingleMailbox('a@a.test, a@a.test'), { kind: 'several' })
    assert.deepEqual(parseSingleMailbox(''), { kind: 'none' })
    assert.deepEqual(parseSingleMailbox('(nobody)'), { kind: 'none' })
  })
})
