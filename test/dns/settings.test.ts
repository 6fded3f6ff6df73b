import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dnsSettings, parseResolverAddress } from '../../src/dns/settings.ts'

const valid = {
  '127.0.0.1': { address: '127.0.0.1', port: 53 },
  '192.0.2.1:5353': { address: '192.0.2.1', port: 5353 },
  '2001:db8::1': { address: '2001:db8::1', port: 53 },
  '[2001:db8::1]': { address: '2001:db8::1', port: 53 },
  '[::1]:65535': { address: '::1', port: 65_535 },
} as const

const invalid = [
  '',
  'localhost',
  'dns.example.org:53',
  '127.1',
  '127.0.0.1:',
  '127.0.0.1:0',
  '127.0.0.1:65536',
  '127.0.0.1 ',
  '[127.0.0.1]:53',
  '[::1',
  '::1]:53',
  '[::1]53',
  '2001:db8::zz',
]

for (const [text, expected] of Object.entries(valid)) {
  test(`T3: resolver address ${text} is understood`, () =>
    assert.deepEqual(parseResolverAddress(text), expected))
}

for (const text of invalid) {
  test(`T3: resolver address "${text}" is refused`, () => {
    assert.equal(parseResolverAddress(text), null)
    assert.equal(dnsSettings.safeParse({ resolvers: [text] }).success, false)
  })
}

test('T3: without settings the resolvers of the system are asked and only loopback is trusted', () => {
  assert.deepEqual(dnsSettings.parse({}), {
    resolvers: [],
    trustValidation: 'loopback',
    timeout: 5000,
    totalTimeout: 15_000,
    attempts: 2,
    cacheEntriesMax: 20_000,
  })
})
