import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import type { Customer } from '../../src/accounts/account.ts'
import { createLoginCheck } from '../../src/accounts/login.ts'
import { hashPassword } from '../../src/accounts/password.ts'
import { accountSettings } from '../../src/accounts/settings.ts'
import { Fault } from '../../src/runtime/fault.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createMemoryAccountStore } from './memory-account-store.ts'

const cheap = { N: 1024, r: 8, p: 1 }
const customer: Customer = {
  name: 'muster',
  domains: [],
  addresses: ['a@muster.example'],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
}

let store = createMemoryAccountStore()
let clock = createManualClock()

const check = (settings: Parameters<typeof accountSettings.parse>[0] = {}) =>
  createLoginCheck({ store, clock, random: systemRandom }, accountSettings.parse(settings))

const setPassword = async (password: string): Promise<void> =>
  store.putCredential({
    login: 'printer',
    customer: 'muster',
    passwordHash: await hashPassword(password, systemRandom, cheap),
  })

const ok = { kind: 'ok', identity: { login: 'printer', customer } }

beforeEach(async () => {
  store = createMemoryAccountStore()
  clock = createManualClock()
  await store.putCustomer(customer)
  await setPassword('first password')
})

test('S3: the right password yields login and customer', async () => {
  assert.deepEqual(await check().verify('printer', 'first password'), ok)
})

test('S3: logins are compared without regard to case and outer spaces', async () => {
  assert.deepEqual(await check().verify(' Printer ', 'first password'), ok)
})

test('S3: passwords are compared exactly', async () => {
  const { verify } = check()
  for (const password of ['First password', 'first password ', 'first', '']) {
    assert.deepEqual(await verify('printer', password), { kind: 'refused', reason: 'wrong-password' })
  }
})

test('S3: a wrong password stays wrong, however often it is tried', async () => {
  const { verify } = check({ loginCacheFor: '1h' })
  for (let attempt = 0; attempt < 3; attempt++) {
    assert.deepEqual(await verify('printer', 'wrong one'), { kind: 'refused', reason: 'wrong-password' })
    assert.deepEqual(await verify('nobody', 'wrong one'), { kind: 'refused', reason: 'unknown' })
  }
})

test('S7: an unknown login is refused', async () => {
  const { verify } = check()
  for (const login of ['nobody', '', 'x'.repeat(300), 'printer\u0000']) {
    assert.deepEqual(await verify(login, 'first password'), { kind: 'refused', reason: 'unknown' })
  }
})

test('S3: a verified login is recognised without hashing until its time is over', async () => {
  const { verify } = check({ loginCacheFor: '60s', loginsInParallel: 1, loginsWaitingMax: 0 })
  assert.deepEqual(await verify('printer', 'first password'), ok)
  // With the only unit taken, what needs a hash is busy: only the cache can still say yes.
  const hog = verify('nobody', 'x')
  assert.deepEqual(await verify('printer', 'first password'), ok)
  assert.deepEqual(await verify('printer', 'wrong password'), { kind: 'busy' })
  await hog
  await clock.advance(60_001)
  const hogAgain = verify('nobody', 'x')
  assert.deepEqual(await verify('printer', 'first password'), { kind: 'busy' })
  await hogAgain
})

test('S3: the cache does not outlive a password change', async () => {
  const { verify } = check({ loginCacheFor: '1h' })
  assert.deepEqual(await verify('printer', 'first password'), ok)
  await setPassword('second password')
  assert.deepEqual(await verify('printer', 'first password'), { kind: 'refused', reason: 'wrong-password' })
  assert.deepEqual(await verify('printer', 'second password'), ok)
})

test('S3: the cache does not outlive the removal of a login', async () => {
  const { verify } = check({ loginCacheFor: '1h' })
  assert.deepEqual(await verify('printer', 'first password'), ok)
  await store.removeCredential('printer')
  assert.deepEqual(await verify('printer', 'first password'), { kind: 'refused', reason: 'unknown' })
})

test('S4: a changed licence counts at the next login, cached or not', async () => {
  const { verify } = check({ loginCacheFor: '1h' })
  assert.deepEqual(await verify('printer', 'first password'), ok)
  const changed = { ...customer, addresses: [] }
  await store.putCustomer(changed)
  assert.deepEqual(await verify('printer', 'first password'), {
    kind: 'ok',
    identity: { login: 'printer', customer: changed },
  })
})

test('S3: the cache of one login says nothing about another with the same password', async () => {
  const { verify } = check({ loginCacheFor: '1h' })
  const other = { login: 'scanner', customer: 'muster', passwordHash: 'scrypt$damaged' }
  await store.putCredential(other)
  assert.deepEqual(await verify('printer', 'first password'), ok)
  assert.deepEqual(await verify('scanner', 'first password'), { kind: 'refused', reason: 'wrong-password' })
})

test('S3: with loginCacheFor 0s each login is hashed', async () => {
  const { verify } = check({ loginCacheFor: '0s', loginsInParallel: 1, loginsWaitingMax: 0 })
  assert.deepEqual(await verify('printer', 'first password'), ok)
  const hog = verify('nobody', 'x')
  assert.deepEqual(await verify('printer', 'first password'), { kind: 'busy' })
  await hog
})

test('S3: past the bound of the waiting line the answer is busy, for known and unknown names alike', async () => {
  const { verify } = check({ loginsInParallel: 1, loginsWaitingMax: 1 })
  const results = await Promise.all([
    verify('printer', 'wrong 1'),
    verify('printer', 'wrong 2'),
    verify('printer', 'wrong 3'),
    verify('nobody', 'wrong 4'),
  ])
  assert.deepEqual(
    results.map((result) => result.kind),
    ['refused', 'refused', 'busy', 'busy'],
  )
})

test('S3: equal logins at the same time share one hash', async () => {
  const { verify } = check({ loginsInParallel: 1, loginsWaitingMax: 0 })
  const results = await Promise.all([1, 2, 3].map(() => verify('printer', 'first password')))
  assert.deepEqual(results, [ok, ok, ok])
})

test('S3: hashing leaves the event loop free', async () => {
  const { verify } = check()
  let turns = 0
  let isHashing = true
  const turn = (): void => {
    turns++
    if (isHashing) setImmediate(turn)
  }
  setImmediate(turn)
  await verify('nobody', 'password')
  isHashing = false
  assert.ok(turns > 100, `${turns} turns of the loop`)
})

test('S3: a store that does not answer is a fault, not a refusal', async () => {
  const silent = { findCredential: () => new Promise<never>(() => {}) }
  const { verify } = createLoginCheck(
    { store: silent, clock, random: systemRandom },
    accountSettings.parse({}),
  )
  const result = assert.rejects(verify('printer', 'first password'), (error) => {
    return error instanceof Fault && error.code === 'deadline-exceeded'
  })
  await clock.advance(10_000)
  await result
})
