// A4: master keys come from a file, the environment or a systemd credential, never from the data directory, and
// what they are is shown nowhere.
import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { problemText } from '../../src/config/explain.ts'
import { type Loaded, loadConfiguration } from '../../src/config/load.ts'

const now = Date.UTC(2027, 0, 1)
const KEY = 'kf0cTp0xb0hkZ2Qw1Y6O8Vw9cN3rXyZ4aB5dE7fG+hI='
const HEX = Buffer.from(KEY, 'base64').toString('hex')
const OTHER = Buffer.from(KEY, 'base64').reverse().toString('base64')
let directory = ''

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'secure-transport-keys-'))
  cpSync(join(import.meta.dirname, 'certificates'), join(directory, 'certificates'), { recursive: true })
  chmodSync(join(directory, 'certificates/mail-key.pem'), 0o600)
  mkdirSync(join(directory, 'data'))
  mkdirSync(join(directory, 'credentials'))
  writeFileSync(join(directory, 'key'), `${KEY}\n`, { mode: 0o600 })
  writeFileSync(join(directory, 'open-key'), `${KEY}\n`, { mode: 0o644 })
  writeFileSync(join(directory, 'data/key'), KEY, { mode: 0o600 })
  symlinkSync('data/key', join(directory, 'link'))
  writeFileSync(join(directory, 'credentials/master'), HEX, { mode: 0o400 })
})
after(() => rmSync(directory, { recursive: true }))

const HEAD = `hostname: mail.example.org
certificates: [{ chain: certificates/mail.pem, key: certificates/mail-key.pem }]
`

const load = (encryption: string, variables: Record<string, string> = {}): Loaded => {
  const file = join(directory, 'test.yaml')
  writeFileSync(file, `${HEAD}${encryption}\n`)
  return loadConfiguration(file, { variables, now })
}
const problems = (loaded: Loaded): string =>
  loaded.problems
    .map((problem) => problemText('config.yaml', problem).replaceAll(`${directory}/`, 'DIRECTORY/'))
    .join('\n')
const masterKeys = (...keys: string[]): string =>
  `encryption: { masterKeys: [${keys.map((key, index) => `{ id: k${index}, key: ${key} }`).join(', ')}] }`

const valid: readonly [string, string][] = [
  ['base64 in a file', '{ file: key }'],
  ['hex in a systemd credential', '{ file: $CREDENTIALS_DIRECTORY/master }'],
  ['base64 in the environment', '{ env: KEY }'],
  ['URL-safe base64 without padding', '{ env: URL_KEY }'],
]
for (const [name, reference] of valid) {
  test(`A4: a master key is taken: ${name}`, () => {
    const variables = {
      KEY,
      URL_KEY: Buffer.from(KEY, 'base64').toString('base64url'),
      CREDENTIALS_DIRECTORY: join(directory, 'credentials'),
    }
    const loaded = load(masterKeys(reference), variables)
    assert.equal(problems(loaded), '')
    assert.ok(loaded.kind === 'ok')
    const [masterKey] = loaded.configuration.encryption.masterKeys
    assert.equal(masterKey?.id, 'k0')
    assert.equal(masterKey?.key.export().toString('base64'), KEY)
  })
}

test('A4: a loaded key is shown neither in a log, nor as JSON, nor when it is inspected', () => {
  const loaded = load(masterKeys('{ file: key }'))
  const shown = `${JSON.stringify(loaded)} ${inspect(loaded, { depth: 20, showHidden: true })}`
  for (const text of [KEY, HEX, KEY.slice(0, 12), HEX.slice(0, 12)]) assert.equal(shown.includes(text), false)
})

const ALLOWED = '32 random octets in hex or base64, from { file: PATH } or { env: NAME }'
const at = (text: string): string => `config.yaml:3: encryption.masterKeys[0].key: ${text}`
const invalid: readonly [string, string, string][] = [
  [
    'no key at all',
    '',
    'config.yaml: warning: encryption.masterKeys: is empty: mail lies unencrypted in dataDirectory',
  ],
  [
    'too short',
    masterKeys('{ env: SHORT }'),
    at(`the value (not shown) is not allowed; allowed: ${ALLOWED}; it has 24 octets instead of 32`),
  ],
  [
    'too long',
    masterKeys('{ env: LONG }'),
    at(`the value (not shown) is not allowed; allowed: ${ALLOWED}; it has 64 octets instead of 32`),
  ],
  [
    'a pass phrase',
    masterKeys('{ env: PHRASE }'),
    at(`the value (not shown) is not allowed; allowed: ${ALLOWED}; it is neither hex nor base64`),
  ],
  [
    'zeros',
    masterKeys('{ env: ZEROS }'),
    at(`the value (not shown) is not allowed; allowed: ${ALLOWED}; it is not random`),
  ],
  ['absent file', masterKeys('{ file: absent }'), at('the file absent cannot be read (ENOENT)')],
  ['unset variable', masterKeys('{ env: UNSET }'), at('the environment variable UNSET is not set')],
  [
    'no credentials',
    masterKeys('{ file: $CREDENTIALS_DIRECTORY/master }'),
    at('the environment variable CREDENTIALS_DIRECTORY is not set'),
  ],
  [
    'in the configuration',
    masterKeys(`"${KEY}"`),
    at('stands in the configuration itself; allowed: { file: PATH } or { env: NAME }'),
  ],
  [
    'in the data directory',
    masterKeys('{ file: data/key }'),
    at('DIRECTORY/data/key lies in dataDirectory: whoever gets hold of the mail would have its key'),
  ],
  [
    'in the data directory behind a link',
    masterKeys('{ file: link }'),
    at('DIRECTORY/link lies in dataDirectory: whoever gets hold of the mail would have its key'),
  ],
  [
    'readable for everyone',
    masterKeys('{ file: open-key }'),
    at('DIRECTORY/open-key can be read by every user of this machine').replace(
      ': encryption',
      ': warning: encryption',
    ),
  ],
  [
    'twice',
    masterKeys('{ file: key }', '{ env: KEY }'),
    'config.yaml:3: encryption.masterKeys[1].key: is the same as another key',
  ],
  [
    'the same id',
    masterKeys('{ file: key }', '{ env: OTHER }').replace('k1', 'k0'),
    'config.yaml:3: encryption.masterKeys[1].id: "k0" is the id of another key too',
  ],
]
const variables = {
  KEY,
  OTHER,
  SHORT: Buffer.from(KEY, 'base64').subarray(8).toString('base64'),
  LONG: HEX + HEX,
  PHRASE: 'correct horse battery staple',
  ZEROS: '0'.repeat(64),
}
for (const [name, encryption, expected] of invalid) {
  test(`A4: what is wrong with a master key is said, and not what it is: ${name}`, () => {
    const found = problems(load(encryption, variables))
    const [first = ''] = found.split('\n').filter((line) => !line.includes('is missing'))
    assert.equal(first, expected)
    for (const secret of Object.values(variables)) assert.equal(found.includes(secret), false)
  })
}
