import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { EXIT } from '../../src/cli/exit-code.ts'
import { readMasterKey } from '../../src/queue/master-keys.ts'
import { CONFIGURATION, createConsole, createConsoleQueue } from './console.ts'

test('A4: key generate prints a key that the configuration takes, another one each time', async (context) => {
  const { run, out, err } = createConsole(context)
  assert.equal(await run(['key', 'generate']), EXIT.ok)
  const [first = ''] = out
  assert.equal(out.length, 1)
  assert.equal(readMasterKey(first).kind, 'key')
  assert.equal(Buffer.from(first, 'base64').length, 32)
  assert.deepEqual(err, ['keep a copy in a safe place: without the key the mail in the queue is lost'])
  assert.equal(await run(['key', 'generate', '--json']), EXIT.ok)
  const { key } = JSON.parse(out.join(''))
  assert.equal(readMasterKey(key).kind, 'key')
  assert.notEqual(key, first)
})

test('A4: key status names the current key, old ones that are still needed, and mail without a key', async (context) => {
  let usage = [
    { id: 'june', messages: 7 },
    { id: '', messages: 2 },
  ]
  const queue = createConsoleQueue({ masterKeyUsage: async () => usage })
  const { run, out, err, configFile } = createConsole(context, { operations: { queue } })
  const keys = join(dirname(configFile), 'keys')
  mkdirSync(keys)
  for (const id of ['june', 'may']) {
    const file = join(keys, id)
    await run(['key', 'generate'])
    writeFileSync(file, out.join(''), { mode: 0o600 })
  }
  writeFileSync(
    configFile,
    `${CONFIGURATION}encryption:
  masterKeys:
    - { id: june, key: { file: keys/june } }
    - { id: may, key: { file: keys/may } }
`,
  )
  assert.equal(await run(['key', 'status']), EXIT.ok)
  assert.equal(
    out.join('\n'),
    `KEY              STATE    MESSAGES
june             current  7
may              old      0
(not encrypted)  none     2`,
  )
  usage = [{ id: 'april', messages: 1 }]
  assert.equal(await run(['key', 'status', '--json']), EXIT.failed)
  assert.deepEqual(JSON.parse(out.join('')), [
    { id: 'june', state: 'current', messages: 0 },
    { id: 'may', state: 'old', messages: 0 },
    { id: 'april', state: 'missing', messages: 1 },
  ])
  assert.deepEqual(err, ['messages cannot be read without april: put it back into encryption.masterKeys'])
})

test('A4: key status says so when nothing is encrypted', async (context) => {
  const { run, out } = createConsole(context)
  assert.equal(await run(['key', 'status']), EXIT.ok)
  assert.deepEqual(out, ['there is no master key: mail in the queue is not encrypted'])
})
