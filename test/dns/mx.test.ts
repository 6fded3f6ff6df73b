import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AddressResult, resolveAddresses, resolveMx } from '../../src/dns/mx.ts'
import type { MxResult } from '../../src/dns/resolver.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import {
  createFakeResolver,
  domain,
  type FakeAnswers,
  mx,
  NO_DATA,
  NO_NAME,
  records,
  TROUBLE,
} from './fake-resolver.ts'

const EXAMPLE = domain('example.test')
const resolve = (answers: FakeAnswers): Promise<MxResult> =>
  resolveMx(createFakeResolver(answers), systemRandom, EXAMPLE)

const hosts = (
  secure: boolean,
  implicit: boolean,
  ...names: readonly (readonly [number, string])[]
): MxResult => ({
  kind: 'hosts',
  hosts: names.map(([preference, name]) => ({ name: domain(name), preference })),
  implicit,
  secure,
})
const noUsableHost: MxResult = { kind: 'no-host', reason: 'no MX record names a usable host' }

const cases: Readonly<Record<string, readonly [FakeAnswers, MxResult]>> = {
  'hosts come by preference': [
    { mx: mx('30 c.test', '10 a.test', '20 b.test') },
    hosts(false, false, [10, 'a.test'], [20, 'b.test'], [30, 'c.test']),
  ],
  'the evidence of the MX answer is kept': [
    { mx: records([{ preference: 10, exchange: 'a.test' }], true) },
    hosts(true, false, [10, 'a.test']),
  ],
  'a host that is named twice counts once, with its better preference': [
    { mx: mx('20 A.test', '10 a.test', '30 a.TEST') },
    hosts(false, false, [10, 'a.test']),
  ],
  'a single `0 .` is a null MX': [{ mx: mx('0 .') }, { kind: 'null-mx' }],
  'a root beside other hosts is no null MX': [
    { mx: mx('0 .', '10 a.test') },
    hosts(false, false, [10, 'a.test']),
  ],
  'a root with another preference is no null MX': [{ mx: mx('10 .') }, noUsableHost],
  'unusable names are dropped': [
    {
      mx: mx(
        '1 192.0.2.1',
        '2 [192.0.2.1]',
        '3 x\\046y.test',
        '4 x\\000.test',
        '5 a_b.test',
        '6 a..b',
        '7 good.test',
      ),
    },
    hosts(false, false, [7, 'good.test']),
  ],
  'only unusable names: no host, and not the implicit one': [
    { mx: mx('10 192.0.2.1', '20 x\\010y.test'), a: records(['192.0.2.1']) },
    noUsableHost,
  ],
  'no MX record but an IPv4 address: the domain itself': [
    { mx: NO_DATA, a: records(['192.0.2.1']), aaaa: NO_DATA },
    hosts(false, true, [0, 'example.test']),
  ],
  'no MX record but an IPv6 address: the domain itself': [
    { mx: { ...NO_DATA, secure: true }, a: NO_DATA, aaaa: records(['2001:db8::1']) },
    hosts(true, true, [0, 'example.test']),
  ],
  'neither MX nor address': [
    { mx: NO_DATA, a: NO_DATA, aaaa: NO_DATA },
    { kind: 'no-host', reason: 'neither MX nor address record' },
  ],
  'no MX record and the address cannot be learnt': [
    { mx: NO_DATA, a: NO_DATA, aaaa: TROUBLE },
    { kind: 'trouble', reason: 'AAAA example.test: SERVFAIL' },
  ],
  'no such domain': [{ mx: NO_NAME, a: records(['192.0.2.1']) }, { kind: 'no-domain' }],
  'trouble with MX is not "no MX"': [
    { mx: TROUBLE, a: records(['192.0.2.1']) },
    { kind: 'trouble', reason: 'MX example.test: SERVFAIL' },
  ],
}

for (const [what, [answers, expected]] of Object.entries(cases)) {
  test(`T7: ${what}`, async () => assert.deepEqual(await resolve(answers), expected))
}

test('T7: hosts of equal preference come in every order, but never before better ones', async () => {
  const answers = { mx: mx('20 x.test', '10 a.test', '10 b.test', '10 c.test') }
  const orders = new Set<string>()
  for (let run = 0; run < 300; run++) {
    const result = await resolve(answers)
    assert.ok(result.kind === 'hosts')
    const names = result.hosts.map((host) => host.name)
    assert.equal(names.pop(), 'x.test')
    orders.add(names.join(' '))
  }
  assert.equal(orders.size, 6)
})

test('T9: of five hundred MX hosts the twenty best are used', async () => {
  const texts = Array.from({ length: 500 }, (_, index) => `${1000 - index} mx${index}.test`)
  const result = await resolve({ mx: mx(...texts) })
  assert.ok(result.kind === 'hosts')
  assert.deepEqual(
    result.hosts.map((host) => host.preference),
    Array.from({ length: 20 }, (_, index) => 501 + index),
  )
})

const addressCases: Readonly<Record<string, readonly [FakeAnswers, AddressResult]>> = {
  'both families are found': [
    { a: records(['192.0.2.1'], true), aaaa: records(['2001:db8::1'], true) },
    { kind: 'addresses', ipv4: ['192.0.2.1'], ipv6: ['2001:db8::1'], secure: true },
  ],
  'records that are not all secure are not secure': [
    { a: records(['192.0.2.1'], true), aaaa: records(['2001:db8::1'], false) },
    { kind: 'addresses', ipv4: ['192.0.2.1'], ipv6: ['2001:db8::1'], secure: false },
  ],
  'an absence that could not be validated does not spoil secure records': [
    { a: records(['192.0.2.1'], true), aaaa: NO_DATA },
    { kind: 'addresses', ipv4: ['192.0.2.1'], ipv6: [], secure: true },
  ],
  'trouble with one family does not hide the other': [
    { a: TROUBLE, aaaa: records(['2001:db8::1']) },
    { kind: 'addresses', ipv4: [], ipv6: ['2001:db8::1'], secure: false },
  ],
  'trouble with one family and nothing in the other is trouble': [
    { a: TROUBLE, aaaa: NO_DATA },
    { kind: 'trouble', reason: 'A example.test: SERVFAIL' },
  ],
  'a host without addresses has none': [{ a: NO_DATA, aaaa: NO_DATA }, { kind: 'none' }],
  'a host that does not exist has none': [{ a: NO_NAME, aaaa: NO_NAME }, { kind: 'none' }],
}

for (const [what, [answers, expected]] of Object.entries(addressCases)) {
  test(`T7: addresses: ${what}`, async () => {
    assert.deepEqual(await resolveAddresses(createFakeResolver(answers), EXAMPLE), expected)
  })
}
