import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAddresses } from '../../src/message/second-opinion.ts'

test('the second opinion names every address it finds, those of groups too, and tells names without address', () => {
  assert.deepEqual(readAddresses('A <a@a.test>, "B, C" <b@b.test>'), ['a@a.test', 'b@b.test'])
  assert.deepEqual(readAddresses('Team: a@a.test, b@b.test;'), ['a@a.test', 'b@b.test'])
  assert.deepEqual(readAddresses('Alice'), [''])
  assert.deepEqual(readAddresses(''), [])
})
