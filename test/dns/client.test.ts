import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { createResolver } from '../../src/dns/client.ts'
import type { Resolver } from '../../src/dns/resolver.ts'
import { dnsSettings } from '../../src/dns/settings.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { type Domain, parseDomain } from '../../src/smtp/domain.ts'
import { type DnsServer, startDnsServer, type ZoneData } from '../support/dns-server.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'

function domain(text: string): Domain {
  const parsed = parseDomain(text)
  assert.ok(parsed)
  return parsed
}

async function serve(context: TestContext, zone: ZoneData): Promise<DnsServer> {
  const server = await startDnsServer(zone)
  context.after(() => server.stop())
  return server
}

function resolverFor(
  context: TestContext,
  resolvers: readonly string[],
  more: Record<string, unknown> = {},
): Resolver & { clock: ManualClock } {
  const clock = createManualClock()
  const settings = dnsSettings.parse({ resolvers, ...more })
  const resolver = createResolver({ clock, random: systemRandom }, settings)
  context.after(() => {
    resolver.stop()
    assert.equal(clock.pending, 0, 'a timer leaked')
  })
  return { ...resolver, clock }
}

test('T3: answers carry the DNSSEC evidence of a resolver on loopback', async (context) => {
  const server = await serve(context, {
    'signed.test': { MX: ['10 mx.signed.test'], secure: true, ttlSeconds: 60 },
    'plain.test': { MX: ['10 mx.signed.test'] },
    'alias.test': { CNAME: 'signed.test', secure: false },
  })
  const resolver = resolverFor(context, [server.address])
  const records = [{ preference: 10, exchange: 'mx.signed.test' }]
  assert.deepEqual(await resolver.mx(domain('signed.test')), {
    kind: 'records',
    records,
    secure: true,
    ttlSeconds: 60,
    canonicalName: 'signed.test',
  })
  assert.deepEqual(await resolver.mx(domain('plain.test')), {
    kind: 'records',
    records,
    secure: false,
    ttlSeconds: 300,
    canonicalName: 'plain.test',
  })
  assert.deepEqual(await resolver.mx(domain('alias.test')), {
    kind: 'records',
    records,
    secure: false,
    ttlSeconds: 60,
    canonicalName: 'signed.test',
  })
  assert.deepEqual(await resolver.a(domain('signed.test')), { kind: 'no-data', secure: true, ttlSeconds: 60 })
  assert.deepEqual(await resolver.tlsa('_25._tcp.signed.test'), {
    kind: 'no-name',
    secure: true,
    ttlSeconds: 60,
  })
  assert.deepEqual(await resolver.mx(domain('nowhere.test')), {
    kind: 'no-name',
    secure: false,
    ttlSeconds: 60,
  })
})

test('T3: the AD bit of a resolver that is not trusted is no evidence', async (context) => {
  const server = await serve(context, { 'signed.test': { A: ['192.0.2.1'], secure: true } })
  const resolver = resolverFor(context, [server.address], { trustValidation: 'never' })
  const answer = await resolver.a(domain('signed.test'))
  assert.equal(answer.kind === 'records' && answer.secure, false)
})

test('T7: every type of record is read', async (context) => {
  const long = 'v=STSv1; id=1; '.repeat(30)
  const server = await serve(context, {
    'host.test': { A: ['192.0.2.1', '192.0.2.2'], AAAA: ['2001:db8::1'], TXT: ['one', long] },
    '_25._tcp.host.test': { TLSA: ['3 1 1 00ff'] },
  })
  const resolver = resolverFor(context, [server.address])
  const common = { kind: 'records', secure: false, ttlSeconds: 300, canonicalName: 'host.test' }
  assert.deepEqual(await resolver.a(domain('host.test')), { ...common, records: ['192.0.2.1', '192.0.2.2'] })
  assert.deepEqual(await resolver.aaaa(domain('host.test')), { ...common, records: ['2001:db8::1'] })
  assert.deepEqual(await resolver.txt('host.test'), { ...common, records: ['one', long] })
  assert.deepEqual(await resolver.tlsa('_25._tcp.host.test'), {
    ...common,
    canonicalName: '_25._tcp.host.test',
    records: [{ usage: 3, selector: 1, matching: 1, data: Uint8Array.of(0, 255) }],
  })
})

test('T7: an answer that UDP cuts off is fetched over TCP', async (context) => {
  const many = Array.from(
    { length: 60 },
    (_, index) => `${index} mx${index}.some-rather-long-name.example.test`,
  )
  const server = await serve(context, {
    'many.test': { MX: many },
    'cut.test': { MX: ['10 mx.test'], truncated: true, secure: true },
  })
  const resolver = resolverFor(context, [server.address])
  const answer = await resolver.mx(domain('many.test'))
  assert.equal(answer.kind === 'records' && answer.records.length, 60)
  const cut = await resolver.mx(domain('cut.test'))
  assert.equal(cut.kind === 'records' && cut.secure, true)
  assert.deepEqual(server.queries, [
    { name: 'many.test', type: 'MX', transport: 'udp' },
    { name: 'many.test', type: 'MX', transport: 'tcp' },
    { name: 'cut.test', type: 'MX', transport: 'udp' },
    { name: 'cut.test', type: 'MX', transport: 'tcp' },
  ])
})

const misbehaviours = {
  servfail: 'SERVFAIL',
  refused: 'REFUSED',
  garbage: /^malformed answer: /,
} as const

for (const [how, reason] of Object.entries(misbehaviours)) {
  test(`T7: ${how} is trouble, never "no records"`, async (context) => {
    const all = how === 'servfail' || how === 'refused' ? how : 'garbage'
    const server = await serve(context, { 'bad.test': { all } })
    const answer = await resolverFor(context, [server.address]).mx(domain('bad.test'))
    assert.equal(answer.kind, 'trouble')
    assert.match(answer.kind === 'trouble' ? answer.reason : '', new RegExp(reason))
  })
}

test('T7: a silent resolver is asked again, the next one after it, all within the total time', async (context) => {
  const silent = await serve(context, { 'a.test': { all: 'silent' } })
  const alsoSilent = await serve(context, { 'a.test': { all: 'silent' } })
  const resolver = resolverFor(context, [silent.address, alsoSilent.address], { totalTimeout: '18s' })
  const answer = resolver.a(domain('a.test'))
  await silent.queried(1)
  await resolver.clock.advance(5000)
  await alsoSilent.queried(1)
  await resolver.clock.advance(5000)
  await silent.queried(2)
  await resolver.clock.advance(5000)
  await alsoSilent.queried(2)
  await resolver.clock.advance(3000)
  assert.deepEqual(await answer, { kind: 'trouble', reason: 'no answer within 3000 ms' })
  assert.equal(silent.queries.length + alsoSilent.queries.length, 4)
})

test('T7: where the first resolver fails the second one answers', async (context) => {
  const failing = await serve(context, { 'a.test': { all: 'servfail' } })
  const silent = await serve(context, { 'a.test': { all: 'silent' } })
  const working = await serve(context, { 'a.test': { A: ['192.0.2.1'] } })
  const resolver = resolverFor(context, [failing.address, silent.address, working.address])
  const answer = resolver.a(domain('a.test'))
  await silent.queried(1)
  await resolver.clock.advance(5000)
  const found = await answer
  assert.deepEqual(found.kind === 'records' && found.records, ['192.0.2.1'])
})

test('T7: a resolver that said SERVFAIL is not asked a second time', async (context) => {
  const server = await serve(context, { 'a.test': { all: 'servfail' } })
  const resolver = resolverFor(context, [server.address], { attempts: 5 })
  assert.deepEqual(await resolver.a(domain('a.test')), { kind: 'trouble', reason: 'SERVFAIL' })
  assert.equal(server.queries.length, 1)
})

test('T3: where a trusted resolver is silent, no untrusted one is asked instead', async (context) => {
  const trusted = await serve(context, { 'a.test': { all: 'servfail' } })
  const resolver = resolverFor(context, ['192.0.2.1', trusted.address])
  assert.deepEqual(await resolver.a(domain('a.test')), { kind: 'trouble', reason: 'SERVFAIL' })
  assert.equal(resolver.clock.monotonic(), 0)
})

test('T7: nobody listens: trouble, at once', async (context) => {
  const server = await startDnsServer({})
  await server.stop()
  const answer = await resolverFor(context, [server.address]).a(domain('a.test'))
  assert.equal(answer.kind === 'trouble' && /ECONNREFUSED/.test(answer.reason), true)
})

test('T7: answers with another id are passed over, and a flood of them ends the wait', async (context) => {
  const liar = createSocket('udp4')
  liar.bind(0, '127.0.0.1')
  await once(liar, 'listening')
  context.after(() => liar.close())
  liar.on('message', (message, sender) => {
    message.writeUInt16BE(message.readUInt16BE(0) ^ 1, 0)
    message.writeUInt8(0x80, 2)
    for (let copies = 0; copies < 25; copies++) liar.send(message, sender.port, sender.address)
  })
  const resolver = resolverFor(context, [`127.0.0.1:${liar.address().port}`], { attempts: 1 })
  assert.deepEqual(await resolver.a(domain('a.test')), {
    kind: 'trouble',
    reason: 'a flood of answers that nobody asked for',
  })
})

test('T7: a name that DNS cannot be asked for is trouble without a question', async (context) => {
  const server = await serve(context, {})
  const resolver = resolverFor(context, [server.address])
  const reason = 'not a name that DNS can be asked for'
  assert.deepEqual(await resolver.txt('_mta-sts.a b.test'), { kind: 'trouble', reason })
  assert.deepEqual(server.queries, [])
})

test('T7: stop ends what is under way, and nothing is asked afterwards', async (context) => {
  const server = await serve(context, { 'a.test': { all: 'silent' } })
  const resolver = resolverFor(context, [server.address])
  const answer = resolver.a(domain('a.test'))
  await server.queried(1)
  resolver.stop()
  assert.deepEqual(await answer, { kind: 'trouble', reason: 'the resolver is closed' })
  assert.equal((await resolver.a(domain('b.test'))).kind, 'trouble')
  assert.equal(server.queries.length, 1)
})

test('T7: thousands of questions at once are all answered, a hundred or so at a time', async (context) => {
  const server = await serve(context, { 'a.test': { A: ['192.0.2.1'] } })
  const settings = dnsSettings.parse({ resolvers: [server.address] })
  const resolver = createResolver({ clock: systemClock, random: systemRandom }, settings)
  context.after(() => resolver.stop())
  const answers = await Promise.all(Array.from({ length: 1000 }, () => resolver.a(domain('a.test'))))
  assert.equal(
    answers.every((answer) => answer.kind === 'records'),
    true,
  )
})
