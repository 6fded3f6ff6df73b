import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyPassword } from '../../src/accounts/password.ts'
import { EXIT } from '../../src/cli/exit-code.ts'
import { type Console, createConsole } from './console.ts'

const ADD = ['account', 'add', 'Kanzlei Muster', '--domain', 'muster.example', '--login', 'Muster']
const MUSTER = {
  name: 'Kanzlei Muster',
  domains: ['muster.example'],
  addresses: [],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
  logins: ['muster'],
}

const json = (console: Console): unknown => JSON.parse(console.out.join('\n'))

test('O3: account add takes the password from standard input, first line only', async (context) => {
  const console = createConsole(context)
  assert.equal(await console.run([...ADD, '--password-stdin'], 'twelve chars\r\nmore\n'), EXIT.ok)
  assert.deepEqual(console.out, ['customer "Kanzlei Muster" saved, logins: muster'])
  const found = await console.operations.accounts.findCredential('muster')
  assert.equal(await verifyPassword('twelve chars', found?.credential.passwordHash ?? ''), true)
  assert.equal(await console.run(['account', 'list', '--json']), EXIT.ok)
  assert.deepEqual(json(console), [MUSTER])
})

test('O3: account add can make a password, prints it once, and it works', async (context) => {
  const console = createConsole(context)
  assert.equal(await console.run([...ADD, '--generate-password', '--json', '--cleartext', 'no']), EXIT.ok)
  const printed = console.out.join('\n')
  const password = /"password": "([\w-]{24})"/.exec(printed)?.[1] ?? assert.fail(printed)
  assert.deepEqual(json(console), { ...MUSTER, cleartextAllowed: false, password })
  const found = await console.operations.accounts.findCredential('muster')
  assert.equal(await verifyPassword(password, found?.credential.passwordHash ?? ''), true)
  await console.run(['account', 'list', '--json'])
  assert.ok(!console.out.join('').includes(password))
})

test('O3: account add refuses what is not valid, with the sentence of the operation', async (context) => {
  const console = createConsole(context)
  assert.equal(await console.run([...ADD, '--password-stdin'], '\n'), EXIT.usage)
  assert.deepEqual(console.err, ['the password is empty'])
  assert.equal(await console.run([...ADD, '--password-stdin'], 'twelve chars'), EXIT.ok)
  assert.equal(await console.run([...ADD, '--password-stdin'], 'twelve chars'), EXIT.failed)
  assert.deepEqual(console.err, ['this customer exists; use "account change"'])
})

test('O3: account change replaces licences and adds logins', async (context) => {
  const console = createConsole(context)
  await console.run([...ADD, '--password-stdin'], 'twelve chars')
  const change = ['account', 'change', 'Kanzlei Muster', '--address', 'a@b.example', '--null-sender', 'yes']
  assert.equal(
    await console.run([...change, '--login', 'two', '--password-stdin', '--json'], 'another password'),
    0,
  )
  assert.deepEqual(json(console), {
    ...MUSTER,
    addresses: ['a@b.example'],
    nullReversePathAllowed: true,
    logins: ['muster', 'two'],
  })
  assert.equal(await console.run(['account', 'change', 'Nobody', '--cleartext', 'no']), EXIT.failed)
  assert.deepEqual(console.err, ['there is no such customer; use "account list"'])
})

test('O3: account remove takes a login or the whole customer; nothing to remove ends with 1', async (context) => {
  const console = createConsole(context)
  await console.run([...ADD, '--password-stdin'], 'twelve chars')
  assert.equal(await console.run(['account', 'remove', 'Kanzlei Muster', '--login', 'other']), EXIT.failed)
  assert.deepEqual(console.err, ['"Kanzlei Muster" has no login "other"'])
  assert.equal(await console.run(['account', 'remove', 'Kanzlei Muster', '--login', 'muster']), EXIT.ok)
  assert.equal(await console.run(['account', 'remove', 'Kanzlei Muster', '--json']), EXIT.ok)
  assert.deepEqual(json(console), { removed: true })
  assert.equal(await console.run(['account', 'remove', 'Kanzlei Muster']), EXIT.failed)
  assert.deepEqual(console.err, ['no customer "Kanzlei Muster"'])
})

test('O3: account list is a table for people', async (context) => {
  const console = createConsole(context)
  await console.run([...ADD, '--password-stdin'], 'twelve chars')
  await console.run(['account', 'list'])
  assert.equal(
    console.out.join('\n'),
    `CUSTOMER        MAY SEND AS     LOGINS  CLEARTEXT  NULL SENDER
Kanzlei Muster  muster.example  muster  yes        no`,
  )
})
