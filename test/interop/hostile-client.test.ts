// A customer's client that attacks the running gateway on the wire, and what left for the recipient, octet by
// octet. The names of the groups are those of the list of threats.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Attacker, createAttacker, FROM, HEADER, repliesOf, TO } from '../support/attacker.ts'
import { type PartnerWorld, startPartnerWorld } from '../support/partner-world.ts'

const LINE_ENDS = '550 5.6.0 The message holds a bare CR or LF or a NUL; lines must end in CRLF'

let world: PartnerWorld
let attacker: Attacker
before(async () => {
  world = await startPartnerWorld({ yaml: 'submission: { messageSizeMax: 1MB, errorsMax: 50 }' })
  attacker = createAttacker(world)
})
afterEach(() => attacker.closeAll())
after(() => attacker.end())

/** Every file of the spool. */
const spooled = (): string[] =>
  readdirSync(join(world.gateway.directory, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.parentPath.includes('spool'))
    .map(({ name }) => name)

describe('wire, inwards: before TLS and login', { timeout: 60_000 }, () => {
  test('S2: octets behind STARTTLS are discarded, however many, and what was said before is forgotten', async () => {
    const injected = ['EHLO evil\r\n', FROM, `NOOP\r\n${'NOOP\r\n'.repeat(500)}${FROM}\r\n`, 'MAIL FRO']
    for (const behind of injected) {
      const client = await attacker.connected()
      await client.command('EHLO before.tls')
      client.write(`STARTTLS\r\n${behind}`)
      assert.equal(await client.reply(), '220 2.0.0 Ready to start TLS')
      await client.upgrade()
      assert.equal(await client.command(FROM), '503 5.5.1 Bad sequence of commands: EHLO first')
      assert.equal(await client.command('NOOP'), '250 2.0.0 OK')
      assert.equal(client.unread(), '')
    }
  })
  test('S2, S3: nothing of a mail is taken before TLS or before login, also when all of it is pipelined', async () => {
    const client = await attacker.connected()
    const whole = `${FROM}\r\n${TO}\r\nDATA\r\n`
    client.write(`EHLO pc\r\nAUTH PLAIN AG9mZmljZQBjb3JyZWN0\r\n${whole}`)
    const [, ...inClear] = await repliesOf(client, 5)
    assert.deepEqual(inClear, Array(4).fill('530 5.7.0 Must issue a STARTTLS command first'))
    await client.command('STARTTLS')
    await client.upgrade()
    client.write(`EHLO pc\r\n${whole}`)
    const [, ...inTls] = await repliesOf(client, 4)
    const expected =
      '530 5.7.0 Authentication required; log in with the user name and password of your account'
    assert.deepEqual(inTls, Array(3).fill(expected))
  })
  test('S3: a client may not become somebody else, nor log in within TLS that was begun again', async () => {
    const client = await attacker.loggedIn()
    assert.match((await client.command('AUTH PLAIN AG9mZmljZQBjb3JyZWN0')) ?? '', /^503 /)
    assert.match((await client.command('STARTTLS')) ?? '', /^503 /)
    assert.equal(await client.command(FROM), '250 2.1.0 Sender OK')
  })
  test('S3: mechanisms that were not offered, and exchanges that are none, log nobody in', async () => {
    const client = await attacker.connected()
    await client.command('STARTTLS')
    await client.upgrade()
    await client.command('EHLO pc')
    for (const line of ['AUTH CRAM-MD5', 'AUTH XOAUTH2 eA==', 'AUTH __PROTO__', 'AUTH', 'AUTH PLAIN = =']) {
      assert.match((await client.command(line)) ?? '', /^50[14] /, line)
    }
    assert.equal(await client.command('AUTH LOGIN'), '334 VXNlcm5hbWU6')
    assert.match((await client.command('*')) ?? '', /^501 /)
    assert.match((await client.command(FROM)) ?? '', /^530 5\.7\.0 Authentication required/)
  })
})

describe('smuggling: only CRLF.CRLF ends a message', { timeout: 120_000 }, () => {
  const inner = `${FROM}\r\nRCPT TO:<victim@peer.test>\r\nDATA\r\n${HEADER}Subject: smuggled\r\n\r\nx\r\n`
  const outer = `${HEADER}Subject: outer\r\n\r\nouter`
  const gadgets = [
    '\n.\n',
    '\r.\r',
    '\n.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r.\r\n',
    '\r.\n',
    '\n.\r',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
    '\r\n.\r\r\n',
    '\n..\r\n',
    '\r..\r\n',
    '\r\n..\n',
    '\n\r.\r\n',
    '\r\n.\n\r\n',
    '\0\n.\r\n',
  ]
  for (const gadget of gadgets) {
    test(`${JSON.stringify(gadget)} ends nothing and is refused`, async () => {
      const client = await attacker.begin()
      client.write(`${outer}${gadget}${inner}.\r\nNOOP\r\n`)
      assert.deepEqual(await repliesOf(client, 2), [LINE_ENDS, '250 2.0.0 OK'])
      assert.equal(client.unread(), '')
    })
  }
  test('the same octet by octet', async () => {
    const client = await attacker.begin()
    client.socket.setNoDelay(true)
    client.write(outer)
    for (const octet of '\n.\r\n\r.\r\n\r\n.\n\r\n.\r') {
      client.write(octet)
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.write(`${inner}.\r\nNOOP\r\n`)
    assert.deepEqual(await repliesOf(client, 2), [LINE_ENDS, '250 2.0.0 OK'])
  })
  test('in the header they end nothing either', async () => {
    for (const gadget of ['\n', '\r', '\0', '\n\n', '\n.\n', '\r\r\n', '\r\n.\n', '\n\r\n']) {
      const client = await attacker.begin()
      client.write(`${HEADER}Subject: a${gadget}X-Hidden: b\r\n\r\nx\r\n.\r\nNOOP\r\n`)
      assert.deepEqual(
        await repliesOf(client, 2),
        [LINE_ENDS, '250 2.0.0 OK'],
        `${JSON.stringify(gadget)} in the header`,
      )
    }
  })
  test('CR CRLF.CRLF ends the message, as it must, and the message is refused', async () => {
    const client = await attacker.begin()
    client.write(`${outer}\r\r\n.\r\nNOOP\r\n`)
    assert.deepEqual(await repliesOf(client, 2), [LINE_ENDS, '250 2.0.0 OK'])
  })
  test('what only looks like an end travels unchanged', async () => {
    const client = await attacker.begin()
    const tame = `${outer}\r\n. \r\n..\r\n...\r\n..x\r\n`
    client.write(`${tame}.\r\n`)
    assert.match((await client.reply()) ?? '', /^250 /)
    const [mail, ...others] = await attacker.arrivedUntilNow()
    assert.equal(mail?.slice(mail.indexOf('\r\n\r\n')), '\r\n\r\nouter\r\n. \r\n.\r\n..\r\n.x\r\n')
    assert.deepEqual(others, [], 'nothing but this one message left')
    assert.ok(world.peer.received.every(({ forwardPaths }) => forwardPaths.join() === 'anna@peer.test'))
  })
})

describe('wire, inwards: transactions and sizes', { timeout: 60_000 }, () => {
  test('S11: of pipelined transactions the refused one in the middle leaves nothing', async () => {
    const client = await attacker.loggedIn()
    const mail = (name: string, header = HEADER): string => `${header}Subject: ${name}\r\n\r\nx\r\n.\r\n`
    const transaction = `${FROM}\r\n${TO}\r\nDATA\r\n`
    client.write(
      `${transaction}${mail('one')}${transaction}${mail('two', 'From: chef@office.test\r\n')}` +
        `MAIL FROM:<eve@elsewhere.test>\r\n${TO}\r\nDATA\r\n${transaction}${mail('three')}QUIT\r\n`,
    )
    const codes = (await repliesOf(client, 16)).map((reply) => reply?.slice(0, 3))
    assert.deepEqual(
      codes.join(' '),
      '250 250 354 250 250 250 354 550 550 503 503 250 250 354 250 221',
      'in order',
    )
    const subjects = (await attacker.arrivedUntilNow()).map((mail) => /^Subject: (\w+)/m.exec(mail)?.[1])
    assert.deepEqual(subjects.slice(-2).toSorted(), ['one', 'three'])
    assert.ok(!subjects.includes('two'))
  })
  test('S11: SIZE may lie: too large is refused at MAIL, and an understatement does not help', async () => {
    const client = await attacker.loggedIn()
    const tooLarge = '552 5.3.4 The message is larger than 1048576 octets'
    for (const size of ['1048577', '99999999999999999999'])
      assert.equal(await client.command(`${FROM} SIZE=${size}`), tooLarge)
    for (const size of ['-1', '1e3', '0x10', '', '999999999999999999999'])
      assert.equal(
        await client.command(`${FROM} SIZE=${size}`),
        '501 5.5.4 The parameter SIZE has an invalid value',
      )
    assert.equal(await client.command(`${FROM} SIZE=1`), '250 2.1.0 Sender OK')
    await client.command(TO)
    await client.command('DATA')
    client.write(`${HEADER}\r\n${`${'x'.repeat(76)}\r\n`.repeat(20_000)}`)
    assert.equal(await client.reply(), tooLarge)
    assert.equal(await client.reply(), null, 'and the connection is closed')
  })
  test('O2: a client that leaves in the middle of DATA leaves no file behind', async () => {
    const body = `${'y'.repeat(76)}\r\n`.repeat(8_000)
    for (const [text, reset] of [
      [`${HEADER}Subject: half`, false],
      [`${HEADER}Subject: half\r\n\r\n${body}`, false],
      [`${HEADER}Subject: half\r\n\r\n${body}\r\n.`, true],
    ] as const) {
      const client = await attacker.begin()
      await new Promise<void>((resolve) => client.socket.write(text, () => resolve()))
      if (reset) client.reset()
      else client.socket.end()
      await client.reply()
    }
    assert.ok(!(await attacker.arrivedUntilNow()).some((mail) => mail.includes('Subject: half')))
    assert.deepEqual(spooled(), [])
  })
  test('O2: a client that leaves right after the final dot: its mail comes once or never', async () => {
    const count = 24
    const before = world.gateway.events.length
    for (let number = 0; number < count; number++) {
      const client = await attacker.begin()
      const body = number % 2 ? 'x\r\n' : `${'z'.repeat(76)}\r\n`.repeat(4_000)
      const text = `${HEADER}Subject: leaving-${number}-\r\n\r\n${body}.\r\n`
      await new Promise<void>((resolve) => client.socket.write(text, () => resolve()))
      for (let turn = 0; turn < number % 6; turn++) await new Promise((resolve) => setImmediate(resolve))
      if (number % 4 < 2) client.reset()
      else client.socket.destroy()
    }
    const arrived = await attacker.arrivedUntilNow()
    const accepted = world.gateway.events.slice(before).filter(({ event }) => event === 'submission.accepted')
    let came = 0
    for (let number = 0; number < count; number++) {
      const copies = arrived.filter((mail) => mail.includes(`Subject: leaving-${number}-`)).length
      assert.ok(copies <= 1, `mail ${number} came ${copies} times`)
      came += copies
    }
    assert.equal(came, accepted.length - 1, 'what was accepted came, and nothing else')
  })
})

describe('wire, inwards: endless things', { timeout: 60_000 }, () => {
  test('an endless command line ends the connection after a few kilobytes', async () => {
    const client = await attacker.loggedIn()
    client.write('NOOP '.padEnd(20_000, 'x'))
    assert.equal(await client.reply(), '421 4.7.0 Too many errors; connect again')
    assert.equal(await client.reply(), null)
  })
  test('an endless header line is refused before it fills the memory', async () => {
    const client = await attacker.begin()
    client.write(`${HEADER}Subject: ${'x'.repeat(400_000)}\r\n\r\nx\r\n.\r\n`)
    assert.match((await client.reply()) ?? '', /^55[02] 5\.(6\.0|3\.4) /)
  })
  test('a line of the body longer than allowed is refused', async () => {
    const client = await attacker.begin()
    client.write(`${HEADER}\r\n${'x'.repeat(10_001)}\r\n.\r\n`)
    assert.equal(await client.reply(), '550 5.6.0 The message holds a line longer than 10000 octets')
  })
  test('endless unknown commands end the connection', async () => {
    const client = await attacker.loggedIn()
    client.write('XYZZY\r\n'.repeat(1000))
    const all = await repliesOf(client, 52)
    assert.deepEqual(all.slice(0, 50), Array(50).fill('500 5.5.1 Command not recognized'))
    assert.deepEqual(all.slice(50), ['421 4.7.0 Too many errors; connect again', null])
  })
  test('a client that is not logged in gets only a few commands', async () => {
    const client = await attacker.connected()
    client.write('NOOP\r\n'.repeat(100))
    const all = await repliesOf(client, 11)
    assert.match(all[9] ?? '', /^421 /)
    assert.equal(all[10], null)
  })
  test('a web page that talks to the port is not listened to', async () => {
    const client = await attacker.connected()
    client.write('POST / HTTP/1.1\r\nHost: gw\r\n\r\nEHLO evil\r\n')
    const all = await repliesOf(client, 2)
    assert.match(all.find((reply) => reply !== null) ?? '', /^(421|500) /)
  })
})
