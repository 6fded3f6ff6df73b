import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import {
  type AccountOperations,
  type AccountResult,
  createAccountOperations,
  type NewAccount,
} from '../../src/accounts/operations.ts'
import { verifyPassword } from '../../src/accounts/password.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createMemoryAccountStore } from './memory-account-store.ts'

const account: NewAccount = {
  name: 'Kanzlei Muster',
  domains: ['Müller.example', 'xn--mller-kva.example'],
  addresses: ['Frau.Holle@Freemail.example'],
  login: 'Printer@Muster',
  password: 'twelve chars',
}
const customer = {
  name: 'Kanzlei Muster',
  domains: ['xn--mller-kva.example'],
  addresses: ['frau.holle@freemail.example'],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
}

let store = createMemoryAccountStore()
let operations: AccountOperations

beforeEach(() => {
  store = createMemoryAccountStore()
  operations = createAccountOperations({ store, random: systemRandom }, { N: 1024, r: 8, p: 1 })
})

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('S4: a new customer is stored with parsed licences and a hashed password', async () => {
  assert.deepEqual(plain(await operations.addAccount(account)), {
    kind: 'ok',
    customer,
    logins: ['printer@muster'],
  })
  const found = await store.findCredential('printer@muster')
  assert.deepEqual(plain(found?.customer), customer)
  assert.equal(await verifyPassword('twelve chars', found?.credential.passwordHash ?? ''), true)
})

test('S4: a customer that exists is not replaced by adding it again', async () => {
  await operations.addAccount(account)
  const again = { ...account, login: 'other', domains: ['else.example'] }
  assert.deepEqual(await operations.addAccount(again), { kind: 'exists' })
  assert.deepEqual(plain(await store.findCustomer(account.name)), customer)
  assert.equal(await store.findCredential('other'), null)
})

test('S3: a login belongs to one customer', async () => {
  await operations.addAccount(account)
  const taken = { kind: 'login-taken', customer: 'Kanzlei Muster' }
  assert.deepEqual(await operations.addAccount({ ...account, name: 'Zweite' }), taken)
  assert.equal(await store.findCustomer('Zweite'), null)
  await operations.addAccount({ ...account, name: 'Dritte', login: 'third' })
  assert.deepEqual(await operations.setLogin('Dritte', 'printer@muster', 'another password'), taken)
})

test('S3: a customer can have several logins, each with its password, each revocable', async () => {
  await operations.addAccount(account)
  const result = await operations.setLogin('Kanzlei Muster', 'Scanner', 'another password')
  assert.deepEqual(result.kind === 'ok' && result.logins.toSorted(), ['printer@muster', 'scanner'])
  assert.equal(await operations.removeLogin('Kanzlei Muster', 'PRINTER@muster'), true)
  assert.equal(await store.findCredential('printer@muster'), null)
  assert.notEqual(await store.findCredential('scanner'), null)
  assert.equal(await operations.removeLogin('Someone else', 'scanner'), false)
  assert.equal(await operations.removeAccount('Kanzlei Muster'), true)
  assert.equal(await operations.removeAccount('Kanzlei Muster'), false)
  assert.deepEqual(await operations.listAccounts(), [])
})

test('S4: a change replaces what it names and leaves the rest', async () => {
  await operations.addAccount(account)
  await operations.changeAccount('Kanzlei Muster', { cleartextAllowed: false, addresses: [] })
  assert.deepEqual(plain(await store.findCustomer('Kanzlei Muster')), {
    ...customer,
    addresses: [],
    cleartextAllowed: false,
  })
  assert.deepEqual(await operations.changeAccount('Nobody', {}), { kind: 'unknown' })
  assert.deepEqual(await operations.setLogin('Nobody', 'x', 'another password'), { kind: 'unknown' })
})

const invalid: readonly [Partial<NewAccount>, AccountResult][] = [
  [
    { name: ' ' },
    {
      kind: 'invalid',
      field: 'name',
      reason:
        '" " is not a name: letters, digits, spaces and . _ & + -, at most 80 characters, beginning with a letter or digit',
    },
  ],
  [
    { name: 'a\u001b[2Jb' },
    {
      kind: 'invalid',
      field: 'name',
      reason:
        '"a?[2Jb" is not a name: letters, digits, spaces and . _ & + -, at most 80 characters, beginning with a letter or digit',
    },
  ],
  [
    { domains: ['muster.example', '127.1'] },
    { kind: 'invalid', field: 'domains', reason: '"127.1" is not a domain such as example.org' },
  ],
  [
    { domains: ['@muster.example'] },
    { kind: 'invalid', field: 'domains', reason: '"@muster.example" is not a domain such as example.org' },
  ],
  [
    { addresses: ['muster.example'] },
    {
      kind: 'invalid',
      field: 'addresses',
      reason: '"muster.example" is not an address such as office@example.org',
    },
  ],
  [
    { domains: [], addresses: [] },
    { kind: 'invalid', field: 'domains', reason: 'at least one domain or address is needed' },
  ],
  [
    { login: 'two words' },
    {
      kind: 'invalid',
      field: 'login',
      reason: '"two words" is not a login: printable ASCII without spaces, at most 255',
    },
  ],
  [{ password: '' }, { kind: 'invalid', field: 'password', reason: 'the password is empty' }],
  [
    { password: 'x'.repeat(1025) },
    { kind: 'invalid', field: 'password', reason: 'the password may have at most 1024 octets' },
  ],
  [
    { password: 'twelve\u0000chars' },
    { kind: 'invalid', field: 'password', reason: 'the password may not hold control characters' },
  ],
]
for (const [part, expected] of invalid) {
  test(`S4: ${JSON.stringify(part).slice(0, 50)} is refused by name and stores nothing`, async () => {
    assert.deepEqual(await operations.addAccount({ ...account, ...part }), expected)
    assert.deepEqual(await store.listCustomers(), [])
  })
}
