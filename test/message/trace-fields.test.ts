import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createAnonymiser } from '../../src/message/anonymise.ts'
import { serialiseHeader } from '../../src/message/header-block.ts'
import { hopsThroughUs, isLooping } from '../../src/message/loop.ts'
import { forwardedField } from '../../src/message/outgoing-copy.ts'
import { messageSettings } from '../../src/message/settings.ts'
import { formatDate, receivedField } from '../../src/message/trace-fields.ts'
import { headerOf } from './header-fixture.ts'

const TRACE = {
  hostname: 'gw.example',
  id: '01h2xcejqtf2nbrexx',
  protocol: 'ESMTPSA',
  at: Date.UTC(2026, 1, 3, 4, 5, 6),
} as const

describe('our own fields', () => {
  test('M2: the trace field is exactly this, and holds nothing of the client', () => {
    assert.equal(
      receivedField(TRACE),
      'Received: by gw.example (secureTransport)\r\n with ESMTPSA id 01h2xcejqtf2nbrexx;\r\n Tue, 03 Feb 2026 04:05:06 +0000\r\n',
    )
  })

  test('M2: its lines are at most 78 characters long for host names of usual length', () => {
    const field = receivedField({
      ...TRACE,
      hostname: 'mail-gateway-01.region.provider.example',
      protocol: 'UTF8SMTPSA',
    })
    assert.deepEqual(
      field.split('\r\n').filter((line) => line.length > 78),
      [],
    )
  })

  test('dates are those of RFC 5322, in UTC', () => {
    assert.equal(formatDate(0), 'Thu, 01 Jan 1970 00:00:00 +0000')
    assert.equal(formatDate(1_774_310_399_999), 'Mon, 23 Mar 2026 23:59:59 +0000')
  })

  test('M6: the mark of a copy that went over TLS', () => {
    assert.equal(forwardedField().toString(), 'X-secureTransport-forwarded: yes\r\n')
  })
})

describe('T9: loops', () => {
  const cases: [string, string, number][] = [
    ['none', 'From: a@a.test\r\n', 0],
    ['our own', receivedField(TRACE), 1],
    ['in other case and layout', 'received: from x ([192.0.2.1])\r\n\tBY GW.Example with SMTP; today\r\n', 1],
    ['two', `${receivedField(TRACE)}Received: by gw.example; x\r\n`, 2],
    ['another host', 'Received: from gw.example by mx.example with SMTP; x\r\n', 0],
    ['a longer name', 'Received: by gw.example.test; x\r\n', 0],
    ['in a comment', 'Received: from x (seen by gw.example today) by mx.example; x\r\n', 0],
    ['in another field', 'X-Received: by gw.example; x\r\n', 0],
  ]
  for (const [name, header, hops] of cases) {
    test(`T9: passages through us: ${name}`, () =>
      assert.equal(hopsThroughUs(headerOf(header), 'gw.example'), hops))
  }

  test('T9: a message may pass hopsMax times and not once more', () => {
    assert.equal(isLooping(headerOf(receivedField(TRACE).repeat(9)), 'gw.example', 10), false)
    assert.equal(isLooping(headerOf(receivedField(TRACE).repeat(10)), 'GW.example', 10), true)
  })

  test('T9: more than 100 hops in all are a loop, whoever they are', () => {
    assert.equal(isLooping(headerOf('Received: by x; y\r\n'.repeat(100)), 'gw.example', 10), false)
    assert.equal(isLooping(headerOf('Received: by x; y\r\n'.repeat(101)), 'gw.example', 10), true)
  })

  test('T9, M2: a loop is counted through anonymisation and ends', () => {
    const anonymise = createAnonymiser({ remove: [] }, ['gw.example'])
    let header = 'From: a@a.test\r\n'
    let passages = 0
    while (!isLooping(headerOf(header), 'gw.example', 10)) {
      passages++
      const sent = `${receivedField(TRACE)}${serialiseHeader(anonymise(headerOf(header)))}`
      header = `Received: from gw.example by exchange.intern; x\r\n${sent}`
      assert.ok(passages < 50)
    }
    assert.equal(passages, 10)
  })
})

describe('settings', () => {
  test('the defaults', () => {
    assert.deepEqual(messageSettings.parse({}), {
      headerSizeMax: 262_144,
      headerFieldsMax: 1000,
      hopsMax: 10,
      cleartextTagPosition: 'anywhere',
    })
  })

  test('other positions of the tag are refused', () => {
    assert.equal(messageSettings.safeParse({ cleartextTagPosition: 'end' }).success, false)
  })
})
