// The reader of hostile octets, with dns-packet as an independent writer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dnsPacket from 'dns-packet'
import fc from 'fast-check'
import {
  type Decode,
  decodeA,
  decodeAaaa,
  decodeMx,
  decodeTlsa,
  decodeTxt,
  interpret,
} from '../../src/dns/answer.ts'
import { createQuery, type Query, type QueryType, readResponse } from '../../src/dns/packet.ts'
import type { Answer } from '../../src/dns/resolver.ts'
import { systemRandom } from '../../src/runtime/random.ts'

function queryFor(name: string, type: QueryType): Query {
  const query = createQuery(systemRandom, name, type)
  assert.ok(query)
  return query
}

/** A response to `query` as an honest server writes it. */
function respond(query: Query, answers: dnsPacket.Answer[], more: Partial<dnsPacket.Packet> = {}): Buffer {
  return dnsPacket.encode({
    type: 'response',
    id: query.bytes.readUInt16BE(0),
    questions: [{ name: query.name, type: query.type, class: 'IN' }],
    answers,
    ...more,
  })
}

/** Reads and interprets, with the AD bit trusted. */
function read<T>(message: Buffer, query: Query, decode: Decode<T>): Answer<T> | 'foreign' | 'malformed' {
  const reading = readResponse(message, query)
  return reading.kind === 'response' ? interpret(reading.response, query, decode, true) : reading.kind
}

/** A response with one MX record whose exchange is these raw labels. */
function respondWithRawMx(query: Query, exchange: Buffer, dataLength = exchange.length + 2): Buffer {
  const head = respond(query, [])
  head.writeUInt16BE(1, 6)
  const record = Buffer.from([0xc0, 12, 0, 15, 0, 1, 0, 0, 1, 0, dataLength >> 8, dataLength & 255, 0, 10])
  return Buffer.concat([head, record, exchange])
}

const labels = (...texts: readonly string[]): Buffer =>
  Buffer.concat([
    ...texts.map((text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')])),
    Buffer.of(0),
  ])

test('T7: a query asks for recursion and DNSSEC, with the name in lower case and a random id', () => {
  const query = queryFor('Example.TEST', 'MX')
  const decoded = dnsPacket.decode(query.bytes)
  const [option] = decoded.additionals ?? []
  assert.deepEqual(decoded.questions, [{ name: 'example.test', type: 'MX', class: 'IN' }])
  assert.equal(decoded.flag_rd && decoded.flag_ad && !decoded.flag_qr, true)
  assert.equal(option?.type === 'OPT' && option.flag_do && option.udpPayloadSize, 1232)
  const ids = new Set(Array.from({ length: 50 }, () => queryFor('example.test', 'MX').bytes.readUInt16BE(0)))
  assert.ok(ids.size > 40)
})

const unaskable = [
  '',
  '.',
  'a..b',
  '.a',
  'a.',
  'a b',
  'ä.test',
  'a\0b',
  'x'.repeat(64),
  `${'a.'.repeat(127)}a`,
]
for (const name of unaskable) {
  test(`T7: the name ${JSON.stringify(name.slice(0, 20))} is not asked for`, () => {
    assert.equal(createQuery(systemRandom, name, 'TXT'), null)
  })
}

test('T7: records of every type are read as they were written', () => {
  const secure = { flags: dnsPacket.AUTHENTIC_DATA }
  const name = 'example.test'
  const common = { kind: 'records', secure: true, ttlSeconds: 60, canonicalName: name } as const
  const mx = queryFor(name, 'MX')
  assert.deepEqual(
    read(
      respond(
        mx,
        [{ type: 'MX', name, ttl: 60, data: { preference: 5, exchange: 'MX.Example.test' } }],
        secure,
      ),
      mx,
      decodeMx,
    ),
    { ...common, records: [{ preference: 5, exchange: 'MX.Example.test' }] },
  )
  const nullMx = respond(mx, [{ type: 'MX', name, ttl: 60, data: { preference: 0, exchange: '.' } }], secure)
  assert.deepEqual(read(nullMx, mx, decodeMx), { ...common, records: [{ preference: 0, exchange: '.' }] })
  const a = queryFor(name, 'A')
  assert.deepEqual(read(respond(a, [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }], secure), a, decodeA), {
    ...common,
    records: ['192.0.2.1'],
  })
  const aaaa = queryFor(name, 'AAAA')
  const six: dnsPacket.Answer[] = ['2001:db8:0:0:0:0:0:1', '::ffff:127.0.0.1', '::'].map((data) => ({
    type: 'AAAA',
    name,
    ttl: 60,
    data,
  }))
  assert.deepEqual(read(respond(aaaa, six, secure), aaaa, decodeAaaa), {
    ...common,
    records: ['2001:db8::1', '::ffff:127.0.0.1', '::'],
  })
  const txt = queryFor(name, 'TXT')
  const texts: dnsPacket.Answer[] = [{ type: 'TXT', name, ttl: 60, data: ['v=spf1 ', 'include:ü.test'] }]
  assert.deepEqual(read(respond(txt, texts, secure), txt, decodeTxt), {
    ...common,
    records: ['v=spf1 include:ü.test'],
  })
  const tlsa = queryFor('_25._tcp.mx.test', 'TLSA')
  const pins: dnsPacket.Answer[] = [
    {
      type: 'TLSA',
      name: '_25._tcp.mx.test',
      ttl: 60,
      data: { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.of(1, 2) },
    },
  ]
  assert.deepEqual(read(respond(tlsa, pins, secure), tlsa, decodeTlsa), {
    ...common,
    canonicalName: '_25._tcp.mx.test',
    records: [{ usage: 3, selector: 1, matching: 1, data: Uint8Array.of(1, 2) }],
  })
})

test('T7: aliases are followed to the canonical name, with the shortest lifetime; foreign records are passed over', () => {
  const query = queryFor('alias.test', 'A')
  const message = respond(query, [
    { type: 'A', name: 'real.test', ttl: 300, data: '192.0.2.1' },
    { type: 'A', name: 'other.test', ttl: 300, data: '192.0.2.66' },
    { type: 'CNAME', name: 'ALIAS.test', ttl: 30, data: 'Middle.test' },
    { type: 'CNAME', name: 'middle.test', ttl: 300, data: 'real.test' },
    { type: 'A', name: 'real.test', ttl: 300, class: 'CH', data: '192.0.2.67' },
  ])
  assert.deepEqual(read(message, query, decodeA), {
    kind: 'records',
    records: ['192.0.2.1'],
    secure: false,
    ttlSeconds: 30,
    canonicalName: 'real.test',
  })
})

test('T7: a loop of aliases, or nine of them, is trouble', () => {
  const query = queryFor('n0.test', 'A')
  const chain = (length: number): dnsPacket.Answer[] =>
    Array.from({ length }, (_, index) => ({
      type: 'CNAME',
      name: `n${index}.test`,
      ttl: 1,
      data: `n${index + 1}.test`,
    }))
  const end = (index: number): dnsPacket.Answer => ({
    type: 'A',
    name: `n${index}.test`,
    ttl: 1,
    data: '192.0.2.1',
  })
  const trouble = { kind: 'trouble', reason: 'more than 8 aliases' }
  const loop: dnsPacket.Answer[] = [{ type: 'CNAME', name: 'n0.test', ttl: 1, data: 'n0.test' }]
  assert.deepEqual(read(respond(query, loop), query, decodeA), trouble)
  assert.deepEqual(read(respond(query, [...chain(9), end(9)]), query, decodeA), trouble)
  const longest = read(respond(query, [...chain(8), end(8)]), query, decodeA)
  assert.equal(typeof longest === 'object' && longest.kind, 'records')
})

test('T7: "no such name", "no such record" and "cannot say" are three answers', () => {
  const query = queryFor('example.test', 'MX')
  const soa: dnsPacket.Answer = {
    type: 'SOA',
    name: 'test',
    ttl: 900,
    data: { mname: 'ns.test', rname: 'h.test', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 },
  }
  const ns: dnsPacket.Answer = { type: 'NS', name: 'test', ttl: 900, data: 'ns.test' }
  const cases: readonly (readonly [Partial<dnsPacket.Packet>, Answer<never>])[] = [
    [
      { flags: 3 | dnsPacket.AUTHENTIC_DATA, authorities: [soa] },
      { kind: 'no-name', secure: true, ttlSeconds: 60 },
    ],
    [{ flags: 3 }, { kind: 'no-name', secure: false, ttlSeconds: 0 }],
    [{ authorities: [ns, soa] }, { kind: 'no-data', secure: false, ttlSeconds: 60 }],
    [{}, { kind: 'no-data', secure: false, ttlSeconds: 0 }],
    [{ authorities: [ns] }, { kind: 'trouble', reason: 'referral instead of an answer' }],
    [{ flags: 2 | dnsPacket.AUTHENTIC_DATA }, { kind: 'trouble', reason: 'SERVFAIL' }],
    [{ flags: 5 }, { kind: 'trouble', reason: 'REFUSED' }],
    [{ flags: 9 }, { kind: 'trouble', reason: 'RCODE 9' }],
  ]
  for (const [more, expected] of cases)
    assert.deepEqual(read(respond(query, [], more), query, decodeMx), expected)
})

test('T3: the reason of a failed validation is read from the extended error', () => {
  const query = queryFor('bogus.test', 'MX')
  const head = respond(query, [], { flags: 2 })
  head.writeUInt16BE(1, 10)
  const bogus = Buffer.from([0, 0, 41, 4, 208, 0, 0, 128, 0, 0, 10, 0, 15, 0, 6, 0, 6, 98, 111, 103, 117])
  assert.deepEqual(read(Buffer.concat([head, bogus]), query, decodeMx), {
    kind: 'trouble',
    reason: 'SERVFAIL, extended error 6',
  })
  const badVersion = Buffer.from([0, 0, 41, 4, 208, 1, 0, 128, 0, 0, 0])
  const noError = respond(query, [])
  noError.writeUInt16BE(1, 10)
  assert.deepEqual(read(Buffer.concat([noError, badVersion]), query, decodeMx), {
    kind: 'trouble',
    reason: 'BADVERS',
  })
})

test('T7: what is not the response to this very query is passed over', () => {
  const query = queryFor('example.test', 'MX')
  const good = respond(query, [])
  const changed = (change: (message: Buffer) => void): Buffer => {
    const copy = Buffer.from(good)
    change(copy)
    return copy
  }
  const foreign = [
    Buffer.alloc(0),
    good.subarray(0, 11),
    changed((message) => message.writeUInt16BE(message.readUInt16BE(0) ^ 1, 0)),
    changed((message) => message.writeUInt16BE(0, 2)), // a query
    changed((message) => message.writeUInt16BE(0, 4)), // no question
    changed((message) => message.writeUInt8(message.readUInt8(14) ^ 1, 14)), // another name
    changed((message) => message.writeUInt8(1, message.length - 3)), // another type
  ]
  for (const message of foreign) assert.equal(read(message, query, decodeMx), 'foreign')
  const shouting = changed((message) => message.write('EXAMPLE', 13))
  assert.deepEqual(read(shouting, query, decodeMx), { kind: 'no-data', secure: false, ttlSeconds: 0 })
})

const hostileLabels: readonly (readonly [string, Buffer, string])[] = [
  ['a dot inside a label', labels('x.y', 'test'), 'x\\046y.test'],
  ['a NUL', labels('x\0y', 'test'), 'x\\000y.test'],
  ['a line feed', labels('x\ny', 'test'), 'x\\010y.test'],
  ['a blank', labels('x y', 'test'), 'x\\032y.test'],
  ['a backslash', labels('x\\y', 'test'), 'x\\092y.test'],
  ['octets that are not ASCII', labels('\xfc\xff', 'test'), '\\252\\255.test'],
]
for (const [what, exchange, expected] of hostileLabels) {
  test(`T9: an MX name with ${what} comes out escaped`, () => {
    const query = queryFor('example.test', 'MX')
    const answer = read(respondWithRawMx(query, exchange), query, decodeMx)
    assert.deepEqual(typeof answer === 'object' && answer.kind === 'records' && answer.records, [
      { preference: 10, exchange: expected },
    ])
  })
}

test('T9: names that loop, point forwards, are over-long or of an unknown kind make an answer worthless', () => {
  const query = queryFor('example.test', 'MX')
  const own = respond(query, []).length
  const pointer = (target: number): Buffer => Buffer.of(0xc0 | (target >> 8), target & 255)
  const exchanges = [
    pointer(own + 14), // at itself
    pointer(own + 20), // forwards
    Buffer.concat([labels('a').subarray(0, 2), pointer(own + 14)]), // back into itself
    Buffer.concat([Buffer.of(0x40, 1), Buffer.alloc(8)]),
    Buffer.concat([...Array.from({ length: 5 }, () => labels('x'.repeat(63)).subarray(0, 64)), Buffer.of(0)]),
    labels('mx', 'test').subarray(0, 6), // cut off
  ]
  for (const exchange of exchanges) {
    const answer = read(respondWithRawMx(query, exchange), query, decodeMx)
    assert.deepEqual(answer, { kind: 'trouble', reason: 'unreadable record' })
  }
})

test('T9: a record whose length lies makes an answer worthless', () => {
  const query = queryFor('example.test', 'MX')
  const exchange = labels('mx', 'test')
  const unreadable = { kind: 'trouble', reason: 'unreadable record' }
  assert.deepEqual(read(respondWithRawMx(query, exchange, exchange.length + 1), query, decodeMx), unreadable)
  assert.equal(read(respondWithRawMx(query, exchange, exchange.length + 3), query, decodeMx), 'malformed')
})

test('T9: a header that promises more records than there are, or thousands, makes an answer worthless', () => {
  const query = queryFor('example.test', 'A')
  const message = respond(query, [{ type: 'A', name: 'example.test', ttl: 1, data: '192.0.2.1' }])
  message.writeUInt16BE(2, 6)
  assert.equal(read(message, query, decodeA), 'malformed')
  const many = Array.from(
    { length: 513 },
    (): dnsPacket.Answer => ({ type: 'A', name: 'example.test', ttl: 1, data: '192.0.2.1' }),
  )
  assert.equal(read(respond(query, many), query, decodeA), 'malformed')
})

test('T9: no octets make the reader throw or hang', () => {
  const query = queryFor('example.test', 'MX')
  const honest = respond(query, [
    { type: 'CNAME', name: 'example.test', ttl: 60, data: 'mail.example.test' },
    { type: 'MX', name: 'mail.example.test', ttl: 60, data: { preference: 10, exchange: 'mx.example.test' } },
    {
      type: 'MX',
      name: 'mail.example.test',
      ttl: 60,
      data: { preference: 20, exchange: 'mx2.example.test' },
    },
  ])
  const changes = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 6 })
  fc.assert(
    fc.property(changes, fc.nat(honest.length), (pairs, length) => {
      const message = Buffer.from(honest)
      for (const [at, octet] of pairs) message[at] = octet
      read(message, query, decodeMx)
      for (const decode of [decodeA, decodeAaaa, decodeTxt]) read(message, query, decode)
      read(message, query, decodeTlsa)
      read(message.subarray(0, length), query, decodeMx)
    }),
    { numRuns: 20_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
      const message = Buffer.concat([honest.subarray(0, 30), octets])
      read(message, query, decodeMx)
    }),
    { numRuns: 10_000 },
  )
})
