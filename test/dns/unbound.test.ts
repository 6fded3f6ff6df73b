// The stub resolver against a real unbound, which asks the test server: as it runs in production.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createResolver } from '../../src/dns/client.ts'
import { resolveMx } from '../../src/dns/mx.ts'
import type { Resolver } from '../../src/dns/resolver.ts'
import { dnsSettings } from '../../src/dns/settings.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { type DnsServer, startDnsServer } from '../support/dns-server.ts'
import { eventually } from '../support/eventually.ts'
import { requirePart } from '../support/parts.ts'
import { freePort } from '../support/ports.ts'
import { domain } from './fake-resolver.ts'

const unbound = requirePart('unbound')
const START_LIMIT_MS = 20_000

/** An unbound that asks `server` for everything below `test`. */
async function startUnbound(context: TestContext, server: DnsServer): Promise<Resolver> {
  const home = await mkdtemp(join(tmpdir(), 'unbound-'))
  const port = await freePort()
  const configuration = [
    'server:',
    `  interface: 127.0.0.1@${port}`,
    '  do-not-query-localhost: no',
    '  do-daemonize: no',
    '  use-syslog: no',
    '  username: ""',
    '  chroot: ""',
    `  directory: "${home}"`,
    `  pidfile: "${join(home, 'unbound.pid')}"`,
    '  num-threads: 1',
    '  module-config: "validator iterator"',
    '  domain-insecure: "test"',
    '  local-zone: "test." nodefault',
    '  qname-minimisation: no',
    '  ede: yes',
    'remote-control:',
    '  control-enable: no',
    'stub-zone:',
    '  name: "test."',
    `  stub-addr: 127.0.0.1@${server.port}`,
    '  stub-prime: no',
  ]
  await writeFile(join(home, 'unbound.conf'), `${configuration.join('\n')}\n`)
  const child = spawn(unbound.path, ['-d', '-c', join(home, 'unbound.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk).slice(-10_000)
  })
  const settings = dnsSettings.parse({ resolvers: [`127.0.0.1:${port}`] })
  const resolver = createResolver({ clock: systemClock, random: systemRandom }, settings)
  context.after(async () => {
    resolver.stop()
    if (child.exitCode === null) child.kill('SIGKILL')
    await exited
    await rm(home, { recursive: true, force: true })
  })
  const isUp = async (): Promise<true | null> =>
    (await resolver.a(domain('up.test'))).kind === 'records' ? true : null
  await eventually('unbound answers', START_LIMIT_MS, isUp, () => output)
  return resolver
}

test('T3: a validating resolver on loopback is asked as in production', {
  skip: unbound.skip,
}, async (context) => {
  const server = await startDnsServer({
    'up.test': { A: ['192.0.2.9'] },
    'example.test': { MX: ['20 mx2.example.test', '10 mx1.example.test'], TXT: ['v=spf1 -all'] },
    'mx1.example.test': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] },
    '_25._tcp.mx1.example.test': { TLSA: ['3 1 1 00ff'] },
    'alias.test': { CNAME: 'example.test' },
    'null.test': { MX: ['0 .'] },
    'host.test': { A: ['192.0.2.3'] },
    'broken.test': { all: 'servfail' },
    'many.test': {
      MX: Array.from({ length: 80 }, (_, index) => `${index} mx${index}.some-long-name.example.test`),
    },
  })
  context.after(() => server.stop())
  const resolver = await startUnbound(context, server)
  const mxOf = (name: string) => resolveMx(resolver, systemRandom, domain(name))
  const example = {
    kind: 'hosts',
    hosts: [
      { name: 'mx1.example.test', preference: 10 },
      { name: 'mx2.example.test', preference: 20 },
    ],
    implicit: false,
    secure: false,
  }

  assert.deepEqual(await mxOf('example.test'), example)
  assert.deepEqual(await mxOf('alias.test'), example)
  assert.deepEqual(await mxOf('null.test'), { kind: 'null-mx' })
  assert.deepEqual(await mxOf('nowhere.test'), { kind: 'no-domain' })
  assert.deepEqual(await mxOf('host.test'), {
    kind: 'hosts',
    hosts: [{ name: 'host.test', preference: 0 }],
    implicit: true,
    secure: false,
  })
  const broken = await mxOf('broken.test')
  assert.equal(broken.kind === 'trouble' && broken.reason.startsWith('MX broken.test: SERVFAIL'), true)
  const many = await resolver.mx(domain('many.test'))
  assert.equal(many.kind === 'records' && many.records.length, 80)
  const six = await resolver.aaaa(domain('mx1.example.test'))
  assert.deepEqual(six.kind === 'records' && six.records, ['2001:db8::1'])
  const text = await resolver.txt('example.test')
  assert.deepEqual(text.kind === 'records' && text.records, ['v=spf1 -all'])
  const pins = await resolver.tlsa('_25._tcp.mx1.example.test')
  assert.deepEqual(pins.kind === 'records' && { records: pins.records, secure: pins.secure }, {
    records: [{ usage: 3, selector: 1, matching: 1, data: Uint8Array.of(0, 255) }],
    secure: false,
  })
})
