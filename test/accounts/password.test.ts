import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  costOf,
  hashPassword,
  PASSWORD_COST,
  unmatchableHash,
  verifyPassword,
} from '../../src/accounts/password.ts'
import { systemRandom } from '../../src/runtime/random.ts'

const cheap = { N: 1024, r: 8, p: 1 }

test('S3: a hash tells its own costs and verifies only its password', async () => {
  const hash = await hashPassword('correct horse battery', systemRandom)
  assert.match(hash, /^scrypt\$32768\$8\$3\$[\w-]{22}\$[\w-]{43}$/)
  assert.equal(await verifyPassword('correct horse battery', hash), true)
  assert.equal(await verifyPassword('correct horse batterz', hash), false)
  assert.equal(await verifyPassword('', hash), false)
})

test('S3: the same password hashes differently each time', async () => {
  const [one, other] = [
    await hashPassword('pw', systemRandom, cheap),
    await hashPassword('pw', systemRandom, cheap),
  ]
  assert.notEqual(one, other)
  assert.equal(await verifyPassword('pw', one), true)
  assert.equal(await verifyPassword('pw', other), true)
})

test('S3: an umlaut verifies in composed and decomposed spelling', async () => {
  const hash = await hashPassword('Schlüssel'.normalize('NFC'), systemRandom, cheap)
  assert.equal(await verifyPassword('Schlüssel'.normalize('NFD'), hash), true)
})

test('S3: hashes with other costs still verify', async () => {
  const hash = await hashPassword('pw', systemRandom, { N: 2048, r: 4, p: 2 })
  assert.equal(await verifyPassword('pw', hash), true)
})

test('S3: a password of more than 1024 octets is not hashed', async () => {
  const long = 'x'.repeat(1025)
  const hash = await hashPassword(long, systemRandom, cheap)
  assert.equal(await verifyPassword(long, hash), false)
})

test('S7: the hash for unknown names costs what a real one costs and matches nothing', async () => {
  const nobody = unmatchableHash(systemRandom)
  const { N, r, p } = PASSWORD_COST
  assert.deepEqual(costOf(nobody), { N, r, p })
  assert.equal(await verifyPassword('', nobody), false)
})

const malformed = [
  '',
  'plain',
  'argon2id$1$2$3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$1000$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$1024$0$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$1024$8$1$AAAAAAAAAAAAAAAAAAAAAA$',
  // Half a gigabyte: a damaged or planted hash must not eat the machine.
  'scrypt$524288$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
]
for (const text of malformed) {
  test(`S3: nothing verifies against "${text.slice(0, 30)}"`, async () => {
    assert.equal(costOf(text), null)
    assert.equal(await verifyPassword('', text), false)
  })
}
