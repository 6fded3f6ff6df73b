// Addresses and content that attack whoever reads them next: refused by the running gateway, or passed on unchanged.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Attacker, createAttacker, FROM, HEADER, repliesOf } from '../support/attacker.ts'
import { type PartnerWorld, startPartnerWorld } from '../support/partner-world.ts'

const MALFORMED = '550 5.6.0 The header of the message is malformed: '
const TOO_MUCH_HEADER =
  '552 5.3.4 The header of the message is larger than 262144 octets or has too many fields'

let world: PartnerWorld
let attacker: Attacker
before(async () => {
  world = await startPartnerWorld({ yaml: 'submission: { messageSizeMax: 1MB, errorsMax: 50 }' })
  attacker = createAttacker(world)
})
afterEach(() => attacker.closeAll())
after(() => attacker.end())

describe('S11: recipients', { timeout: 60_000 }, () => {
  test('beyond the limit each one is told 452, however many they are, and the rest is delivered', async () => {
    const before = world.gateway.events.length
    const client = await attacker.loggedIn()
    await client.command(FROM)
    client.write(Array.from({ length: 2000 }, (_, at) => `RCPT TO:<list-${at}@peer.test>\r\n`).join(''))
    const all = await repliesOf(client, 2000)
    assert.deepEqual(all.slice(0, 200), Array(200).fill('250 2.1.5 Recipient OK'))
    const full = '452 4.5.3 Too many recipients; at most 200 in one message'
    assert.equal(all.slice(200).filter((reply) => reply === full).length, 1800)
    assert.equal(await client.command('RSET'), '250 2.0.0 Flushed')
    const lines = world.gateway.events
      .slice(before)
      .filter(({ replyId }) => replyId === 'recipients-too-many')
    assert.equal(lines.length, 1, 'the log is told once')
  })
  test('named twice gets one copy; spellings that differ in case are two', async () => {
    const client = await attacker.loggedIn()
    await client.command(FROM)
    for (const path of [
      '<twin@peer.test>',
      '<twin@PEER.test>',
      '<Twin@peer.test>',
      '<@relay.test:twin@peer.test>',
    ])
      assert.equal(await client.command(`RCPT TO:${path}`), '250 2.1.5 Recipient OK')
    await client.command('DATA')
    assert.match((await client.command(`${HEADER}Subject: twins\r\n\r\nx\r\n.`)) ?? '', /^250 /)
    await attacker.arrivedUntilNow()
    const twins = world.peer.received.filter(({ content }) => content.includes('Subject: twins'))
    assert.deepEqual(twins.flatMap(({ forwardPaths }) => forwardPaths).toSorted(), [
      'Twin@peer.test',
      'twin@peer.test',
    ])
  })
  const refused: [string, RegExp][] = [
    ['<victim%elsewhere.test@peer.test>', /^553 5\.1\.3 /],
    ['<elsewhere.test!victim@peer.test>', /^553 5\.1\.3 /],
    ['<x@[127.0.0.1]>', /^550 5\.1\.3 /],
    ['<x@[IPv6:::1]>', /^550 5\.1\.3 /],
    ['<x@127.1>', /^553 5\.1\.3 /],
    ['<x@0x7f.1>', /^553 5\.1\.3 /],
    ['<x@2130706433>', /^553 5\.1\.3 /],
    ['<x@peer.test.>', /^553 5\.1\.3 /],
    ['<x@peer..test>', /^553 5\.1\.3 /],
    ['<x@xn--x-ka.de>', /^553 5\.1\.3 /],
    ['<x@peer\u3002test>', /^553 5\.1\.3 /],
    ['<x@pe\u200ber.test>', /^553 5\.1\.3 /],
    [`<${'x'.repeat(65)}@peer.test>`, /^553 5\.1\.3 /],
    [`<x@${'y'.repeat(64)}.test>`, /^553 5\.1\.3 /],
    [`<x@${'yyy.'.repeat(64)}test>`, /^553 5\.1\.3 /],
    ['<a@b@peer.test>', /^553 5\.1\.3 /],
    ['<a b@peer.test>', /^501 5\.5\.4 /],
    ['<x@peer.test', /^501 5\.5\.4 /],
    ['<x@peer.test>\rRCPT TO:<y@peer.test>', /^501 5\.5\.4 /],
    ['<x\0@peer.test>', /^501 5\.5\.4 /],
    ['<"x\\\r"@peer.test>', /^501 5\.5\.4 /],
    ['<>', /^553 5\.1\.3 /],
    ['<m\u00fcller@peer.test>', /^553 5\.6\.7 /],
    ['<x@peer.test> NOTIFY=NEVER,DELAY', /^501 5\.5\.4 /],
    ['<x@peer.test> NOTIFY=SUCCESS,,FAILURE', /^501 5\.5\.4 /],
    ['<x@peer.test> NOTIFY', /^501 5\.5\.4 /],
    ['<x@peer.test> ORCPT=rfc822;a+0D+0AX@y\u00e9', /^501 5\.5\.4 /],
    [`<x@peer.test> ORCPT=rfc822;${'x'.repeat(500)}`, /^501 5\.5\.4 /],
    ['<x@peer.test> ORCPT=;x', /^501 5\.5\.4 /],
    ['<x@peer.test> SIZE=5', /^555 5\.5\.4 /],
    ['<x@peer.test> BY=1;R', /^555 5\.5\.4 /],
  ]
  test('that would make somebody route, or are none, are refused one by one', async () => {
    const client = await attacker.loggedIn()
    await client.command(FROM)
    for (const [path, expected] of refused) {
      assert.match((await client.command(`RCPT TO:${path}`)) ?? '', expected, path)
    }
    assert.equal(await client.command('DATA'), '503 5.5.1 Bad sequence of commands: RCPT first')
  })
  test('S4: the null sender and odd MAIL parameters are refused', async () => {
    const client = await attacker.loggedIn()
    const odd: [string, RegExp][] = [
      ['MAIL FROM:<>', /^550 5\.7\.1 Mail without a sender address/],
      [`${FROM} RET=BODY`, /^501 5\.5\.4 /],
      [`${FROM} ENVID=`, /^501 5\.5\.4 /],
      [`${FROM} ENVID=+0d+0a`, /^501 5\.5\.4 /],
      [`${FROM} ENVID=${'x'.repeat(101)}`, /^501 5\.5\.4 /],
      [`${FROM} BODY=BINARYMIME`, /^501 5\.5\.4 /],
      [`${FROM} SMTPUTF8=1`, /^501 5\.5\.4 /],
      [`${FROM} RET=FULL RET=FULL`, /^501 5\.5\.4 /],
      [`${FROM} NOTIFY=NEVER`, /^555 5\.5\.4 /],
      [`${FROM} constructor=1`, /^555 5\.5\.4 /],
    ]
    for (const [line, expected] of odd) assert.match((await client.command(line)) ?? '', expected, line)
  })
  test('S11: parameters that are odd but allowed leave as they came, or not at all', async () => {
    const client = await attacker.loggedIn()
    await client.command(`${FROM} RET=HDRS ENVID=+2B+0D+0Ax AUTH=<>`)
    await client.command('RCPT TO:<dsn@peer.test> NOTIFY=DELAY,FAILURE ORCPT=x-odd;a+0D+0Ab')
    await client.command('DATA')
    assert.match((await client.command(`${HEADER}Subject: dsn\r\n\r\nx\r\n.`)) ?? '', /^250 /)
    await attacker.arrivedUntilNow()
    const mail = world.peer.received.find(({ forwardPaths }) => forwardPaths.includes('dsn@peer.test'))
    assert.match(mail?.mailCommand ?? '', /^MAIL FROM:<max@office\.test>(?: SIZE=[0-9]+)?$/)
    assert.deepEqual(mail?.rcptCommands, ['RCPT TO:<dsn@peer.test>'], 'this peer does not offer DSN')
  })
})

describe('content', { timeout: 60_000 }, () => {
  const oddHeaders: [string, string, string][] = [
    ['10,000 fields', `${HEADER}${'X-A: b\r\n'.repeat(10_000)}`, TOO_MUCH_HEADER],
    ['a field of 300 KB', `${HEADER}X-A: b\r\n${` ${'c'.repeat(900)}\r\n`.repeat(333)}`, TOO_MUCH_HEADER],
    ['a line that is no field', `${HEADER}this is none\r\n`, MALFORMED],
    ['a continuation before any field', ` x\r\n${HEADER}`, MALFORMED],
    ['a blank before the colon of From', 'From : max@office.test\r\n', '550 5.'],
    [
      'From hidden behind a line of blanks',
      `Subject: x\r\n \r\n${HEADER}From: eve@elsewhere.test\r\n`,
      '550 5.',
    ],
  ]
  for (const [name, header, expected] of oddHeaders) {
    test(`${name} is refused`, async () => {
      const client = await attacker.begin()
      client.write(Buffer.from(`${header}\r\nx\r\n.\r\n`, 'latin1'))
      const reply = (await client.reply()) ?? ''
      assert.equal(reply.slice(0, expected.length), expected)
      assert.equal(await client.command('NOOP'), '250 2.0.0 OK')
    })
  }
  test('raw 8-bit octets in the header travel as they are, or not at all', async () => {
    for (const octets of ['M\xc3\xbcller', '\xff\xfe\x80']) {
      const client = await attacker.begin()
      client.write(Buffer.from(`${HEADER}Subject: eight ${octets}\r\n\r\nx\r\n.\r\n`, 'latin1'))
      assert.match((await client.reply()) ?? '', /^250 /)
    }
    await attacker.arrivedUntilNow()
    const eight = world.peer.received.filter(({ content }) => content.includes('Subject: eight'))
    assert.deepEqual(
      eight.map(({ content }) => /^Subject: eight (.*)\r$/m.exec(content.toString('latin1'))?.[1]).toSorted(),
      ['M\xc3\xbcller', '\xff\xfe\x80'],
    )
    for (const { mailCommand } of eight) assert.match(mailCommand, / BODY=8BITMIME$/)
  })
  test('a field of 100 KB, MIME in 500 levels and a message without a body travel', async () => {
    const folded = `X-Long: a\r\n${` ${'c'.repeat(900)}\r\n`.repeat(110)}`
    const nested = Array.from(
      { length: 500 },
      (_, at) => `Content-Type: multipart/mixed; boundary=b${at}\r\n\r\n--b${at}\r\n`,
    ).join('')
    for (const message of [
      `${HEADER}Subject: big-1\r\n${folded}\r\nx\r\n`,
      `${HEADER}Subject: big-2\r\n${nested}\r\nx\r\n`,
      `${HEADER}Subject: big-3\r\n`,
      `${HEADER}Subject: big-4\r\n\r\n`,
    ]) {
      const client = await attacker.begin()
      client.write(`${message}.\r\n`)
      assert.match((await client.reply()) ?? '', /^250 /, message.slice(0, 80))
    }
    const big = (await attacker.arrivedUntilNow()).filter((mail) => mail.includes('Subject: big-'))
    assert.equal(big.length, 4)
    assert.ok(big.some((mail) => mail.includes(nested.slice(nested.indexOf('--b0')))))
  })
})
