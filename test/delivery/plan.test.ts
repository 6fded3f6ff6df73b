import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { createAddressGuard } from '../../src/delivery/address-guard.ts'
import { createPlanner } from '../../src/delivery/plan.ts'
import { type Partner, partnerSettings } from '../../src/delivery/settings.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { domain, resolverOf, shortOutcome, type Zone } from './harness.ts'

async function plan(
  zone: Zone,
  partner: Partner | null = null,
  route: string | null = null,
): Promise<string[]> {
  const planner = createPlanner(
    {
      resolver: resolverOf(zone),
      random: systemRandom,
      guard: createAddressGuard([], () => []),
      hostname: domain('gateway.test'),
    },
    25,
  )
  const made = await planner.plan(domain('d.test'), partner, route)
  if (made.kind === 'nowhere') return [shortOutcome(made.failure), made.failure.detail]
  const targets = made.targets.map((target) => `${target.host} ${target.address} ${target.port}`)
  return made.incomplete === null ? targets : [...targets, shortOutcome(made.incomplete)]
}

const partner = (hosts: readonly string[]): Partner => {
  const [made] = partnerSettings.parse([{ domain: 'd.test', hosts }])
  assert(made)
  return made
}

const cases: readonly [name: string, zone: Zone, partner: Partner | null, plan: readonly string[]][] = [
  [
    'T7: hosts by preference, families in turn, IPv6 first',
    {
      mx: { 'd.test': ['20 b.test', '10 a.test'] },
      a: { 'a.test': ['8.8.8.1', '8.8.8.2'], 'b.test': ['8.8.8.3'] },
      aaaa: { 'a.test': ['2a00::1'] },
    },
    null,
    ['a.test 2a00::1 25', 'a.test 8.8.8.1 25', 'a.test 8.8.8.2 25', 'b.test 8.8.8.3 25'],
  ],
  ['T7: implicit MX', { a: { 'd.test': ['8.8.8.1'] } }, null, ['d.test 8.8.8.1 25']],
  [
    'T7: null MX',
    { mx: { 'd.test': ['0 .'] }, a: { 'd.test': ['8.8.8.1'] } },
    null,
    ['failed 5.1.10 domain-takes-no-mail', 'The domain takes no mail (null MX).'],
  ],
  ['T7: unknown domain', {}, null, ['failed 5.1.2 domain-unknown', 'The domain does not exist.']],
  [
    'T7: DNS trouble is never "no MX"',
    { mx: { 'd.test': 'trouble' }, a: { 'd.test': ['8.8.8.1'] } },
    null,
    ['deferred 4.4.3 dns-trouble', 'DNS gave no answer: MX d.test: SERVFAIL.'],
  ],
  [
    'T7: trouble with one host leaves the others, and is remembered',
    { mx: { 'd.test': ['10 a.test', '20 b.test'] }, a: { 'a.test': 'trouble', 'b.test': ['8.8.8.3'] } },
    null,
    ['b.test 8.8.8.3 25', 'deferred 4.4.3 dns-trouble'],
  ],
  [
    'T7: MX hosts without address',
    { mx: { 'd.test': ['10 a.test'] } },
    null,
    ['failed 5.4.4 domain-unknown', "None of the domain's mail servers has an address."],
  ],
  [
    'T9: ourselves among the MX hosts drops what is not preferred to us',
    {
      mx: { 'd.test': ['10 a.test', '20 gateway.test', '20 c.test', '30 b.test'] },
      a: { 'a.test': ['8.8.8.1'], 'b.test': ['8.8.8.2'], 'c.test': ['8.8.8.3'] },
    },
    null,
    ['a.test 8.8.8.1 25'],
  ],
  [
    'T9: ourselves as best MX host is a loop',
    { mx: { 'd.test': ['10 gateway.test', '20 b.test'] }, a: { 'b.test': ['8.8.8.2'] } },
    null,
    ['failed 5.4.6 loop', 'The best mail server of the domain is this gateway.'],
  ],
  [
    'T9: forbidden addresses are dropped',
    {
      mx: { 'd.test': ['10 a.test', '20 b.test'] },
      a: { 'a.test': ['127.0.0.1', '8.8.8.1'], 'b.test': ['10.0.0.1'] },
    },
    null,
    ['a.test 8.8.8.1 25'],
  ],
  [
    'T9: only forbidden addresses',
    { mx: { 'd.test': ['10 a.test'] }, a: { 'a.test': ['169.254.169.254'] }, aaaa: { 'a.test': ['::1'] } },
    null,
    [
      'failed 5.4.4 address-not-allowed',
      "No address of the domain's mail servers may be used: the address ::1 of a.test is loopback, the address 169.254.169.254 of a.test is link-local.",
    ],
  ],
  [
    'T5: fixed hosts instead of DNS, in order; an address that the operator wrote is allowed',
    { mx: { 'd.test': 'trouble' }, a: { 'p.test': ['8.8.8.9'] } },
    partner(['p.test:2525', '10.0.0.7', '[fd00::1]:26']),
    ['p.test 8.8.8.9 2525', '10.0.0.7 10.0.0.7 25', 'fd00::1 fd00::1 26'],
  ],
  [
    'T9: the name of a fixed host may not lead inside',
    { a: { 'p.test': ['10.0.0.8'] } },
    partner(['p.test']),
    [
      'failed 5.4.4 address-not-allowed',
      "No address of the domain's mail servers may be used: the address 10.0.0.8 of p.test is private.",
    ],
  ],
]
for (const [name, zone, agreement, expected] of cases) {
  test(name, async () => {
    assert.deepEqual(await plan(zone, agreement), expected)
  })
}

for (const host of [
  '',
  'a b',
  'mx.test:0',
  'mx.test:70000',
  '[mx.test]:25',
  '2001:db8::1',
  '127.1',
  'mx.test:x',
]) {
  test(`T5: "${host}" is refused as a fixed host`, () => {
    assert.equal(partnerSettings.safeParse([{ domain: 'd.test', hosts: [host] }]).success, false)
  })
}

const routes: readonly [name: string, route: string, zone: Zone, plan: readonly string[]][] = [
  [
    'an address is the operator’s decision, whatever the guard says',
    '127.0.0.1:2525',
    {},
    ['127.0.0.1 127.0.0.1 2525'],
  ],
  ['an IPv6 address', '[2a00::1]:25', {}, ['2a00::1 2a00::1 25']],
  ['a name', 'relay.test:587', { a: { 'relay.test': ['8.8.8.1'] } }, ['relay.test 8.8.8.1 587']],
  [
    'a name that does not exist fails no mail',
    'rely.test:25',
    {},
    [
      'deferred 4.3.5 local-fault',
      "The route rely.test:25 that an operator chose leads nowhere: None of the domain's mail servers has an address.",
    ],
  ],
  [
    'a name with a forbidden address fails no mail',
    'relay.test:25',
    { a: { 'relay.test': ['10.0.0.1'] } },
    [
      'deferred 4.3.5 local-fault',
      "The route relay.test:25 that an operator chose leads nowhere: No address of the domain's mail servers may be used: the address 10.0.0.1 of relay.test is private.",
    ],
  ],
  [
    'what is no host at all fails no mail',
    'a b',
    {},
    [
      'deferred 4.3.5 local-fault',
      'The route a b that an operator chose leads nowhere: it is no host and port.',
    ],
  ],
]
for (const [name, route, zone, expected] of routes) {
  test(`O3 T9: a route goes before partner and MX hosts: ${name}`, async () => {
    const mx = { 'd.test': ['10 mx.d.test'] }
    const withMx = { ...zone, mx, a: { 'mx.d.test': ['8.8.8.8'], ...zone.a } }
    assert.deepEqual(await plan(withMx, partner(['8.8.4.4']), route), expected)
  })
}
