// The files of a site (deploy/) hold together: no engine runs here, so everything that can be said without one is.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { loadConfiguration } from '../../src/config/load.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'

const deploy = join(import.meta.dirname, '../../deploy')
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8')
const compose = parse(read('compose.yaml'))
const services: readonly (readonly [string, Service])[] = Object.entries(compose.services)

interface Service {
  readonly image: string
  readonly build?: string
  readonly restart: string
  readonly command?: readonly string[]
  readonly stop_grace_period?: string
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly secrets?: readonly string[]
  readonly networks: Readonly<Record<string, { readonly ipv4_address?: string }>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck: {
    readonly test: readonly string[]
    readonly interval: string
    readonly timeout: string
  }
}

/** What an operator puts there himself, and git must not see. */
const OWN = /^\.\/(?:gateway\/tls|postgres\/tls|secrets\/[a-z-]+)$/

const directory = mkdtempSync(join(tmpdir(), 'st-deploy-'))
after(() => rmSync(directory, { recursive: true }))

/** The gateway's configuration as the container sees it, with certificate and secrets of a test. */
function loadGateway() {
  const authority = createCertificateAuthority()
  const days = 86_400_000
  const validity = { from: Date.now() - days, until: Date.now() + 90 * days }
  const pair = authority.issue(['mx1.example.org'], validity)
  mkdirSync(join(directory, 'tls'), { recursive: true })
  const files = {
    'tls/chain.pem': pair.certificate,
    'tls/key.pem': pair.key,
    'tls/database-ca.pem': authority.certificate,
    'store-url': `${URL_OF_THE_STORE.replaceAll('/etc/secure-transport', directory)}\n`,
    'master-key': `${systemRandom.bytes(32).toString('base64')}\n`,
    'secure-transport.yaml': read('gateway/secure-transport.yaml').replaceAll('/run/secrets', directory),
  }
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 })
  const loaded = loadConfiguration(join(directory, 'secure-transport.yaml'))
  assert.equal(loaded.kind, 'ok', JSON.stringify(loaded.problems))
  return loaded
}

const URL_OF_THE_STORE = /# (postgres:\/\/\S+)/.exec(read('gateway/secure-transport.yaml'))?.[1] ?? ''

test('O2: the configuration of a site is valid, without a warning', () => {
  const { configuration, problems } = loadGateway()
  assert.deepEqual(problems, [])
  assert.equal(configuration.cluster.requireSynchronousStandby, true)
  assert.equal(configuration.encryption.masterKeys.length, 1)
  assert.match(
    URL_OF_THE_STORE,
    /^postgres:\/\/gateway:[^@]+@db1\.[^,]+,db2\.[^,]+,db3\..*sslmode=verify-full/,
  )
})

test('every service has a pinned image, a health check with limits, and comes back after a crash', () => {
  assert.deepEqual(
    services.map(([name]) => name),
    ['gateway', 'clamd', 'unbound', 'postgres'],
  )
  for (const [name, { image, restart, healthcheck, build }] of services) {
    assert.match(image, /^[a-z0-9/-]+:[0-9][0-9a-z.-]*$/, `${name}: ${image}`)
    assert.equal(restart, 'unless-stopped', name)
    assert.match(healthcheck.test[0] ?? '', /^CMD(?:-SHELL)?$/)
    assert.match(`${healthcheck.interval} ${healthcheck.timeout}`, /^[0-9]+s [0-9]+s$/)
    if (build !== undefined) assert.ok(existsSync(join(deploy, build, 'Dockerfile')), name)
  }
})

test('what services refer to exists: volumes, files, secrets, networks, each other', () => {
  const names = services.map(([name]) => name)
  for (const [name, service] of services) {
    for (const volume of service.volumes ?? []) {
      const [source = '', target = ''] = volume.split(':')
      assert.ok(target.startsWith('/'), volume)
      if (!source.startsWith('.')) assert.ok(source in compose.volumes, `${name}: ${source}`)
      else assert.ok(OWN.test(source) || existsSync(join(deploy, source)), `${name}: ${source}`)
    }
    for (const secret of service.secrets ?? []) assert.match(compose.secrets[secret].file, OWN)
    for (const network of Object.keys(service.networks)) assert.ok(network in compose.networks)
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      assert.ok(names.includes(other))
      assert.equal(condition, 'service_healthy')
    }
  }
  const ignored = read('.gitignore').split('\n')
  for (const own of ['.env', 'secrets/', 'tls/']) assert.ok(ignored.includes(own), own)
})

test('what is published, mounted and named fits the configuration of the gateway', () => {
  const { configuration } = loadGateway()
  const { gateway, clamd, unbound } = compose.services
  assert.deepEqual(
    gateway.ports.map((port: string) => Number(port.split(':')[1])),
    configuration.listeners.map(({ port }) => port),
  )
  assert.ok(gateway.volumes.some((volume: string) => volume.endsWith(`:${'/var/lib/secure-transport'}`)))
  assert.equal(configuration.dataDirectory, '/var/lib/secure-transport')
  assert.deepEqual(
    configuration.dns.resolvers.map(({ address }) => address),
    [unbound.networks.site.ipv4_address],
  )
  assert.deepEqual(
    configuration.scanner.address.map(({ text }) => text),
    ['clamd:3310'],
  )
  assert.deepEqual([clamd.ports, unbound.ports], [undefined, undefined], 'not published')
  assert.ok(gateway.healthcheck.test.join(' ').includes(`:${configuration.http.port}/readyz`))
  const [, , drainLimit] = gateway.command
  assert.ok(Number.parseInt(gateway.stop_grace_period, 10) > Number.parseInt(drainLimit, 10))
})

test('M1: the clamd of the container has the limits of config/clamd.conf', () => {
  const lines = (text: string): string[] => text.split('\n').filter((line) => /^[A-Za-z]/.test(line))
  const ours = lines(readFileSync(join(deploy, '../config/clamd.conf'), 'utf8'))
  const theirs = lines(read('clamd/clamd.conf'))
  assert.deepEqual(
    ours.filter((line) => !theirs.includes(line)),
    ['LocalSocket /run/clamav/clamd.ctl', 'LogSyslog yes'],
  )
  assert.deepEqual(
    theirs.filter((line) => !ours.includes(line)),
    ['TCPSocket 3310', 'TCPAddr 0.0.0.0', 'LocalSocket /run/clamav/clamd.sock', 'LogSyslog no'],
  )
})

test('the script of the database can be run', () => {
  assert.notEqual(statSync(join(deploy, 'postgres/init/10-gateway.sh')).mode & 0o111, 0)
})
