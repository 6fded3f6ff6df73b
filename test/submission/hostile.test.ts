// What clients may not bring about by chance or intent: an end of the process by one message, a handshake without
// end, replies that a strict client cannot read.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { DataReader } from '../../src/message/wire.ts'
import type { EventName } from '../../src/observability/events.ts'
import type { Log } from '../../src/observability/log.ts'
import { noScanner } from '../../src/scanning/none.ts'
import { encodeReply, reply } from '../../src/smtp/reply.ts'
import { createAcceptance } from '../../src/submission/acceptance.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createMemoryQueue } from '../support/memory-queue.ts'
import { connectLoggedIn } from '../support/smtp-client.ts'
import { OFFICE as CUSTOMER, startSubmission } from '../support/submission-server.ts'

test('S10: a header that breaks our reading of it costs one message, not the process', async () => {
  const clock = createManualClock()
  const events: EventName[] = []
  const log: Log = { event: (name) => void events.push(name) }
  const receive = createAcceptance(
    {
      queue: createMemoryQueue(clock),
      scanner: noScanner,
      judgeHeader: () => {
        throw new RangeError('a bug')
      },
      clock,
      newId: () => 'incident-7',
      log,
      submit: () => assert.fail('nothing may be delivered'),
    },
    { headerSizeMax: 10_000, lineOctetsMax: 1000, lifetimeMs: 1000 },
  )
  const reception = receive({
    sessionId: 's',
    envelope: {
      reversePath: null,
      dsn: { ret: null, envid: null },
      smtpUtf8: false,
      requireTls: false,
      recipients: [],
    },
    identity: { login: 'max', customer: CUSTOMER },
    tlsProtocol: '',
    tlsCipher: '',
  })
  assert.equal(reception.write(Buffer.from('From: a\r\n\r\nx\r\n')), null)
  const answer = await reception.finish(new DataReader(1000))
  assert.equal(
    encodeReply(answer),
    '451 4.3.0 Temporary local problem, incident incident-7; try again in a few minutes\r\n',
  )
  assert.deepEqual(events, ['relay.fault'])
})

test('S1: a handshake on the implicit listener has a deadline, and octets that drip in do not move it', async () => {
  const clock = createManualClock()
  const server = await startSubmission({ clock, encryption: 'implicit' })
  try {
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    await once(socket, 'connect')
    socket.resume()
    while (server.submission.sessions === 0) await new Promise((resolve) => setImmediate(resolve))
    socket.write(Buffer.from([0x16, 0x03, 0x01]))
    const closed = once(socket, 'close')
    await clock.advance(31_000)
    await closed
    assert.equal(server.submission.sessions, 0)
  } finally {
    await server.stop()
  }
})

test('S11: replies are ASCII in lines of at most 512 octets, whatever they name', async () => {
  const server = await startSubmission()
  try {
    const client = await connectLoggedIn(server.port, 'max', 'right')
    assert.equal(
      await client.command('MAIL FROM:<m\u00fcller@office.example>'),
      '553 5.6.7 The address m\\x{FC}ller@office.example needs the SMTPUTF8 extension',
    )
    client.close()
  } finally {
    await server.stop()
  }
  const line = encodeReply(reply(550, '5.7.1', '\u4e2d'.repeat(400)))
  assert.equal(line.length, 512)
  assert.match(line, /^550 5\.7\.1 (?:\\x\{4E2D\}){5}[ -~]*\r\n$/)
})
