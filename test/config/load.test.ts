import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { problemText } from '../../src/config/explain.ts'
import { configurationFile, type Loaded, loadConfiguration } from '../../src/config/load.ts'

const here = import.meta.dirname
const cases = readdirSync(here).filter((name) => name.startsWith('bad-'))
const now = Date.UTC(2027, 0, 1)
let directory = ''

// Worked on as a copy, because keys must not be readable by everyone and git keeps no such mode.
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'secure-transport-config-'))
  for (const name of ['certificates', ...cases])
    cpSync(join(here, name), join(directory, name), { recursive: true })
  for (const key of ['mail-key.pem', 'other-key.pem']) chmodSync(join(directory, 'certificates', key), 0o600)
})
after(() => rmSync(directory, { recursive: true }))

/** One line each, but for the warning that nothing is encrypted: see encryption.test.ts. */
const problems = (loaded: Loaded): string =>
  loaded.problems
    .filter(({ key }) => key !== 'encryption.masterKeys')
    .map((problem) => `${problemText('config.yaml', problem)}\n`)
    .join('')
    .replaceAll(`${directory}/`, 'DIRECTORY/')
    .replaceAll(join(here, '../../'), 'PROJECT/')

for (const name of cases) {
  test(`O6: ${name} says what is wrong, where, and what is allowed`, () => {
    const loaded = loadConfiguration(join(directory, name, 'config.yaml'), { variables: {}, now })
    assert.equal(loaded.kind, 'invalid')
    assert.equal(problems(loaded), readFileSync(join(here, name, 'expected-error.txt'), 'utf8'))
  })
}

const MINIMAL = `hostname: Mail.Example.org
certificates:
  - { chain: certificates/mail.pem, key: certificates/mail-key.pem }
`

const load = (text: string, variables = {}): Loaded => {
  const file = join(directory, 'test.yaml')
  writeFileSync(file, text)
  return loadConfiguration(file, { variables, now })
}

const configurationOf = (loaded: Loaded) => {
  assert.equal(loaded.kind, 'ok', problems(loaded))
  return loaded.kind === 'ok' ? loaded.configuration : assert.fail()
}

test('O6: two keys are enough, the rest has defaults, paths start where the file lies', () => {
  const loaded = load(MINIMAL)
  const configuration = configurationOf(loaded)
  assert.equal(problems(loaded), '')
  assert.equal(configuration.hostname, 'mail.example.org')
  assert.equal(configuration.dataDirectory, join(directory, 'data'))
  assert.equal(configuration.store, 'sqlite:')
  assert.deepEqual(configuration.certificates, [
    { chain: join(directory, 'certificates/mail.pem'), key: join(directory, 'certificates/mail-key.pem') },
  ])
  assert.deepEqual(
    configuration.listeners.map(({ port, encryption }) => [port, encryption]),
    [
      [587, 'starttls'],
      [25, 'starttls'],
      [465, 'implicit'],
    ],
  )
  assert.equal(configuration.delivery.lifetime, 120 * 3_600_000)
  assert.equal(configuration.delivery.tlsRetryWindow, 15 * 60_000)
})

test('O6: the shipped sample says nothing else than the defaults', () => {
  const sample = readFileSync(join(here, '../../config/default.yaml'), 'utf8')
    .replace('hostname: mail.example.org', 'hostname: mail.example.org')
    .replace('chain: tls/chain.pem', 'chain: certificates/mail.pem')
    .replace('key: tls/key.pem', 'key: certificates/mail-key.pem')
  const loaded = load(sample)
  const configuration = configurationOf(loaded)
  assert.equal(problems(loaded), '')
  assert.deepEqual(configuration, configurationOf(load(MINIMAL)))
})

test('O6: a secret comes from a file or from the environment', () => {
  writeFileSync(join(directory, 'store.txt'), 'sqlite:\n')
  assert.equal(configurationOf(load(`${MINIMAL}store: { file: store.txt }\n`)).store, 'sqlite:')
  assert.equal(
    configurationOf(load(`${MINIMAL}store: { env: STORE }\n`, { STORE: 'sqlite:' })).store,
    'sqlite:',
  )
})

test('O6: what a secret held is not shown when it is not allowed', () => {
  const variants = [
    load(`${MINIMAL}store: { env: STORE }\n`, { STORE: 'mysql:hunter2' }),
    load(`${MINIMAL}store: mysql:hunter2\n`),
  ]
  for (const loaded of variants) {
    assert.equal(
      problems(loaded),
      'config.yaml:4: store: the value (not shown) is not allowed; allowed: sqlite: (the embedded store), or postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE\n',
    )
  }
})

test('O6: references are taken only where a secret may stand', () => {
  assert.equal(
    problems(load(MINIMAL.replace('Mail.Example.org', '{ env: HOME }'))),
    'config.yaml:1: hostname: a section is not allowed; allowed: a host name such as mail.example.org\n',
  )
})

test('O6: a certificate that clients will refuse is a warning, not an error', () => {
  const file = join(directory, 'test.yaml')
  writeFileSync(file, MINIMAL.replace('mail.pem', 'other.pem').replace('mail-key', 'other-key'))
  const late = loadConfiguration(file, { variables: {}, now: Date.UTC(2127, 0, 1) })
  assert.equal(late.kind, 'ok')
  assert.equal(
    problems(late),
    'config.yaml:3: warning: certificates[0].chain: DIRECTORY/certificates/other.pem expired on 2126-10-30: clients will refuse it\n' +
      'config.yaml:3: warning: certificates[0].chain: DIRECTORY/certificates/other.pem does not name mail.example.org: clients that connect to that name will refuse it\n',
  )
})

test('O6: a key that everyone can read is a warning', () => {
  chmodSync(join(directory, 'certificates/mail-key.pem'), 0o644)
  const loaded = load(MINIMAL)
  chmodSync(join(directory, 'certificates/mail-key.pem'), 0o600)
  assert.equal(
    problems(loaded),
    'config.yaml:3: warning: certificates[0].key: DIRECTORY/certificates/mail-key.pem can be read by every user of this machine\n',
  )
})

test('O6: a file that is not there is a problem, not a crash', () => {
  assert.equal(
    problems(loadConfiguration(join(directory, 'absent.yaml'), { now })),
    'config.yaml: cannot be read (ENOENT)\n',
  )
  assert.equal(problems(loadConfiguration(directory, { now })), 'config.yaml: cannot be read (EISDIR)\n')
})

test('O6: the file is the one given, before any default', () => {
  assert.equal(configurationFile('given.yaml'), 'given.yaml')
})
