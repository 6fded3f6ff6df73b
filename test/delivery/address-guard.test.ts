import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { createAddressGuard } from '../../src/delivery/address-guard.ts'

const guard = createAddressGuard([], () => ['198.41.0.4', '2a00:1450::99'])

const forbidden: readonly [address: string, what: string][] = [
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['0.0.0.0', 'unspecified'],
  ['10.1.2.3', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.178.1', 'private'],
  ['100.64.0.1', 'shared by a carrier'],
  ['169.254.169.254', 'link-local'],
  ['224.0.0.1', 'multicast'],
  ['255.255.255.255', 'reserved'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['fe80::1', 'link-local'],
  ['fd00::1', 'private'],
  ['ff02::1', 'multicast'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['::127.0.0.1', 'loopback'],
  ['64:ff9b::10.0.0.1', 'private'],
  ['64:ff9b::a00:1', 'private'],
  ['2002:c0a8:0101::1', 'private'],
  ['2001:0:1:2::3', 'special-purpose'],
  ['2001:db8::1', 'for documentation'],
  ['fe80::1%eth0', 'not an IP address'],
  ['127.1', 'not an IP address'],
  ['mx.example.test', 'not an IP address'],
  ['198.41.0.4', "this gateway's own"],
  ['::ffff:198.41.0.4', "this gateway's own"],
  ['2a00:1450:0::0:99', "this gateway's own"],
]
for (const [address, what] of forbidden) {
  test(`T9: ${address} is refused because it is ${what}`, () => {
    assert.equal(guard(address), what)
  })
}

for (const address of [
  '8.8.8.8',
  '172.32.0.1',
  '100.128.0.1',
  '2a00:1450:4001::1',
  '64:ff9b::808:808',
  '::ffff:8.8.8.8',
]) {
  test(`T9: ${address} is allowed`, () => {
    assert.equal(guard(address), null)
  })
}

test('T9: a network that the operator allows is allowed, in each spelling, and only that one', () => {
  const open = createAddressGuard(['10.1.0.0/16', 'fd00:1::/32', '127.0.0.5'], () => ['10.1.0.1'])
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00:1::7', '127.0.0.5', '10.1.0.1']) {
    assert.equal(open(address), null, address)
  }
  for (const address of ['10.2.0.1', 'fd00:2::7', '127.0.0.6']) assert.notEqual(open(address), null, address)
})
