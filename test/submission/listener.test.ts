import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { afterEach, describe, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { Log } from '../../src/observability/log.ts'
import { cataloguedReply } from '../../src/smtp/replies.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { connectLoggedIn, connectSmtp, type SmtpClient } from '../support/smtp-client.ts'
import {
  type SubmissionServer,
  type SubmissionServerOptions,
  startSubmission,
} from '../support/submission-server.ts'

const MAIL = 'MAIL FROM:<max@office.example>'
const RCPT = 'RCPT TO:<anna@recipient.example>'

let server: SubmissionServer
let clients: SmtpClient[] = []
const start = async (options: SubmissionServerOptions = {}): Promise<void> => {
  server = await startSubmission(options)
}
const plain = async (): Promise<SmtpClient> => {
  const client = await connectSmtp(server.port)
  clients.push(client)
  return client
}
const loggedIn = async (): Promise<SmtpClient> => {
  const client = await connectLoggedIn(server.port, 'max', 'right')
  clients.push(client)
  return client
}
afterEach(async () => {
  for (const client of clients) client.close()
  clients = []
  await server.stop()
})

describe('S2: nothing before TLS', () => {
  test('AUTH is not offered and MAIL, RCPT, DATA and AUTH are refused', async () => {
    await start()
    const client = await plain()
    assert.equal(await client.reply(), '220 gw.example ESMTP')
    assert.equal(
      await client.command('EHLO pc'),
      '250-gw.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-SMTPUTF8\n250-ENHANCEDSTATUSCODES\n250-DSN\n250 STARTTLS',
    )
    for (const command of [MAIL, RCPT, 'DATA', 'AUTH PLAIN AG1heAByaWdodA==']) {
      assert.equal(await client.command(command), '530 5.7.0 Must issue a STARTTLS command first')
    }
    assert.equal(await client.command('QUIT'), '221 2.0.0 Bye')
  })
  test('commands injected behind STARTTLS are never executed, and state is forgotten', async () => {
    await start()
    const client = await plain()
    await client.reply()
    await client.command('EHLO pc')
    client.write(`STARTTLS\r\nNOOP\r\n${MAIL}\r\n`)
    assert.equal(await client.reply(), '220 2.0.0 Ready to start TLS')
    await client.upgrade()
    assert.equal(await client.command(MAIL), '503 5.5.1 Bad sequence of commands: EHLO first')
    assert.equal(
      await client.command('EHLO pc'),
      '250-gw.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-SMTPUTF8\n250-ENHANCEDSTATUSCODES\n250-DSN\n250 AUTH PLAIN LOGIN',
    )
    assert.equal(client.unread(), '')
  })
  const weak: [string, ConnectionOptions][] = [
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA:AES128-SHA' }],
    [
      'key exchange without forward secrecy',
      { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256:AES256-GCM-SHA384' },
    ],
  ]
  for (const [name, options] of weak) {
    test(`${name} is refused in the handshake`, async () => {
      await start({ encryption: 'implicit' })
      const socket = connectTls({
        host: '127.0.0.1',
        port: server.port,
        rejectUnauthorized: false,
        ...options,
      })
      const [error] = await once(socket, 'error')
      assert.match(String(error.code), /ERR_SSL|ECONNRESET/)
    })
  }
  test('TLS 1.3 with the hybrid post-quantum group is what a modern client gets', async () => {
    await start({ encryption: 'implicit' })
    const socket = connectTls({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    assert.equal(Object(socket.getEphemeralKeyInfo()).name, 'X25519MLKEM768')
    socket.destroy()
  })
})

describe('S3: login', () => {
  test('PLAIN and LOGIN work, and nothing is accepted without them', async () => {
    await start()
    const client = await plain()
    await client.reply()
    await client.command('EHLO pc')
    await client.command('STARTTLS')
    await client.upgrade()
    await client.command('EHLO pc')
    assert.equal(
      await client.command(MAIL),
      '530 5.7.0 Authentication required; log in with the user name and password of your account',
    )
    assert.equal(await client.command('AUTH LOGIN'), '334 VXNlcm5hbWU6')
    assert.equal(await client.command(Buffer.from('max').toString('base64')), '334 UGFzc3dvcmQ6')
    assert.equal(
      await client.command(Buffer.from('right').toString('base64')),
      '235 2.7.0 Authentication successful',
    )
    assert.equal(await client.command(MAIL), '250 2.1.0 Sender OK')
    clients.push(await connectLoggedIn(server.port, 'max', 'right'))
  })
  test('a wrong password is refused, and the third one ends the connection', async () => {
    await start()
    const client = await plain()
    await client.reply()
    await client.command('EHLO pc')
    await client.command('STARTTLS')
    await client.upgrade()
    await client.command('EHLO pc')
    const wrong = `AUTH PLAIN ${Buffer.from('\0max\0wrong').toString('base64')}`
    assert.equal(await client.command(wrong), '535 5.7.8 User name or password is wrong')
    assert.equal(await client.command(wrong), '535 5.7.8 User name or password is wrong')
    assert.equal(
      await client.command(wrong),
      '421 4.7.0 Too many failed logins on this connection; try again later with the right password',
    )
    assert.equal(await client.reply(), null)
  })
})

describe('S11: the dialogue', () => {
  test('two whole transactions pipelined in one segment are answered in order', async () => {
    await start()
    const client = await loggedIn()
    client.write(`${MAIL}\r\n${RCPT}\r\nDATA\r\n`)
    for (const expected of [
      '250 2.1.0 Sender OK',
      '250 2.1.5 Recipient OK',
      '354 End data with <CR><LF>.<CR><LF>',
    ])
      assert.equal(await client.reply(), expected)
    client.write(`From: a\r\n\r\n..dot\r\n.\r\n${MAIL}\r\n${RCPT}\r\nDATA\r\nFrom: b\r\n\r\n.\r\nQUIT\r\n`)
    const replies: (string | null)[] = []
    for (let count = 0; count < 6; count++) replies.push(await client.reply())
    assert.deepEqual(replies, [
      '250 2.0.0 OK id=test',
      '250 2.1.0 Sender OK',
      '250 2.1.5 Recipient OK',
      '354 End data with <CR><LF>.<CR><LF>',
      '250 2.0.0 OK id=test',
      '221 2.0.0 Bye',
    ])
    assert.deepEqual(
      (await server.seen(2)).map((message) => message.content),
      ['From: a\r\n\r\n..dot\r\n', 'From: b\r\n\r\n'],
    )
  })
  test('each mistake has its own reply', async () => {
    await start({ settings: { recipientsMax: 1 } })
    const client = await loggedIn()
    const dialogue: [string, string][] = [
      ['FOO', '500 5.5.1 Command not recognized'],
      ['WIZ please', '500 5.5.1 Command not recognized'],
      ['BDAT 10', '500 5.5.1 Command not recognized'],
      [RCPT, '503 5.5.1 Bad sequence of commands: MAIL first'],
      ['DATA', '503 5.5.1 Bad sequence of commands: MAIL first'],
      [`${MAIL} SIZE=99999999999`, '552 5.3.4 The message is larger than 52428800 octets'],
      [`${MAIL} FOO=1`, '555 5.5.4 The parameter FOO is not supported'],
      [MAIL, '250 2.1.0 Sender OK'],
      [MAIL, '503 5.5.1 Bad sequence of commands: RSET or finish the transaction first'],
      ['DATA', '503 5.5.1 Bad sequence of commands: RCPT first'],
      [RCPT, '250 2.1.5 Recipient OK'],
      [RCPT, '250 2.1.5 Recipient OK'],
      ['RCPT TO:<two@recipient.example>', '452 4.5.3 Too many recipients; at most 1 in one message'],
      ['RSET', '250 2.0.0 Flushed'],
      ['NOOP', '250 2.0.0 OK'],
    ]
    for (const [command, expected] of dialogue) assert.equal(await client.command(command), expected, command)
  })
  test('too many refused commands end the connection', async () => {
    await start({ settings: { errorsMax: 3 } })
    const client = await loggedIn()
    for (let count = 0; count < 3; count++)
      assert.equal(await client.command('FOO'), '500 5.5.1 Command not recognized')
    assert.equal(await client.reply(), '421 4.7.0 Too many errors; connect again')
    assert.equal(await client.reply(), null)
  })
  test('full storage is said at MAIL, before anything is promised', async () => {
    await start({ mayAccept: () => false })
    const client = await loggedIn()
    assert.equal(
      await client.command(MAIL),
      '452 4.3.1 Not enough storage right now; try again in a few minutes',
    )
  })
})

describe('messages that go wrong', () => {
  const begin = async (): Promise<SmtpClient> => {
    const client = await loggedIn()
    await client.command(MAIL)
    await client.command(RCPT)
    await client.command('DATA')
    return client
  }
  test('more data than allowed is answered with 552 and not read on', async () => {
    await start({ settings: { messageSizeMax: '64KB' } })
    const client = await begin()
    client.write(`From: a\r\n\r\n${'x'.repeat(70)}\r\n`.repeat(2000))
    assert.equal(await client.reply(), '552 5.3.4 The message is larger than 65536 octets')
    assert.equal(await client.reply(), null)
    const [message] = await server.seen(1)
    assert.equal(message?.aborted, true)
  })
  test('a client that leaves in the middle of DATA leaves nothing behind', async () => {
    await start()
    const client = await begin()
    client.write('From: a\r\n\r\nhalf')
    client.close()
    const [message] = await server.seen(1)
    assert.equal(message?.aborted, true)
  })
  test('a refusal of the message keeps the connection usable', async () => {
    let count = 0
    await start({
      answer: () =>
        cataloguedReply(count++ === 0 ? 'scanner-unavailable' : 'message-accepted', { id: 'second' }),
    })
    const client = await begin()
    assert.equal(
      await client.command('From: a\r\n\r\n.'),
      '451 4.7.1 The message cannot be scanned for viruses right now; try again in a few minutes',
    )
    await client.command(MAIL)
    await client.command(RCPT)
    await client.command('DATA')
    assert.equal(await client.command('From: a\r\n\r\n.'), '250 2.0.0 OK id=second')
  })
})

describe('limits of a session', () => {
  test('one client address has so many sessions and no more', async () => {
    await start({ settings: { sessionsPerClientMax: 2 } })
    const [first, second] = [await plain(), await plain()]
    await first.reply()
    await second.reply()
    const third = await plain()
    assert.equal(
      await third.reply(),
      '421 4.7.0 gw.example Too many connections from your address; close some and try again',
    )
    assert.equal(await third.reply(), null)
  })
  test('a session that ended makes room, whether it spoke TLS or not', async () => {
    const ended = new EventEmitter()
    const log: Log = { event: (name) => name === 'submission.session-closed' && ended.emit('session') }
    await start({ settings: { sessionsPerClientMax: 1 }, log })
    for (const connect of [loggedIn, plain, loggedIn]) {
      const over = once(ended, 'session')
      const client = await connect()
      if (connect === plain) await client.reply()
      client.close()
      await over
      assert.equal(server.submission.sessions, 0)
    }
  })
  test('clients that leave before they are greeted do not use up the sessions', async () => {
    await start({ settings: { sessionsPerClientMax: 3 } })
    for (let count = 0; count < 30; count++) {
      const client = await connectSmtp(server.port)
      await once(client.socket, 'connect')
      client.socket.resetAndDestroy()
    }
    const client = await plain()
    assert.equal(await client.reply(), '220 gw.example ESMTP')
  })
  test('a client that sends one octet now and then is cut off after the command timeout', async () => {
    const clock = createManualClock()
    await start({ clock, settings: { commandTimeout: '5min' } })
    const client = await plain()
    await client.reply()
    client.write('E')
    await clock.advance(5 * 60_000 + 5_000)
    assert.equal(await client.reply(), '421 4.4.2 gw.example This session took too long; connect again')
    assert.equal(await client.reply(), null)
  })
  test('a client that drips a message is cut off after the data timeout', async () => {
    const clock = createManualClock()
    await start({ clock, settings: { dataTimeout: '30min', dataIdleTimeout: '3min' } })
    const client = await loggedIn()
    await client.command(MAIL)
    await client.command(RCPT)
    await client.command('DATA')
    client.write('From: a\r\n')
    await clock.advance(3 * 60_000 + 5_000)
    assert.equal(await client.reply(), '421 4.4.2 gw.example This session took too long; connect again')
    assert.equal((await server.seen(1))[0]?.aborted, true)
  })
})

describe('O2: drain', () => {
  test('idle sessions are told at once, a running message is finished, new connections are refused', async () => {
    let finish: () => void = () => undefined
    const decided = new Promise<void>((resolve) => {
      finish = resolve
    })
    await start({
      answer: async () => {
        await decided
        return cataloguedReply('message-accepted', { id: 'last' })
      },
    })
    const idle = await loggedIn()
    const busy = await loggedIn()
    await busy.command(MAIL)
    await busy.command(RCPT)
    await busy.command('DATA')
    busy.write('From: a\r\n\r\n.\r\n')
    await server.seen(1)
    const drained = server.submission.drain(60_000)
    assert.equal(await idle.reply(), '421 4.3.2 gw.example is going down for a moment; try again in a minute')
    finish()
    assert.equal(await busy.reply(), '250 2.0.0 OK id=last')
    assert.equal(await busy.reply(), '421 4.3.2 gw.example is going down for a moment; try again in a minute')
    await drained
    await assert.rejects(connectLoggedIn(server.port, 'max', 'right'))
  })
})
