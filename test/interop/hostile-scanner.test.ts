// M1 through the front door: whatever the scanner does wrong, the client is told 451, nothing leaves, nothing is
// kept, and the memory of the gateway does not grow with what clients send meanwhile.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Behaviour, type FakeClamd, startFakeClamd } from '../scanning/fake-clamd.ts'
import { eventually } from '../support/eventually.ts'
import { type PartnerWorld, startPartnerWorld } from '../support/partner-world.ts'
import { residentOctets, watchMemory } from '../support/process-memory.ts'
import type { SmtpClient } from '../support/smtp-client.ts'

const UNSCANNED = '451 4.7.1 The message cannot be scanned for viruses right now; try again in a few minutes'
const HEADER = 'From: max@office.test\r\nSubject: unscanned\r\n\r\n'
const CLEAN = 'stream: OK\0'
const MEGABYTE = 1024 * 1024
const SIZES = [
  ['a small mail', 0],
  ['a large one', 3 * MEGABYTE],
] as const
const EARLY_OK: Behaviour = { connected: (socket) => socket.write(CLEAN) }

describe('scanner dead, hanging, answering garbage', { timeout: 120_000 }, () => {
  let world: PartnerWorld
  let fake: FakeClamd
  let behaviour: Behaviour = {}
  const clients: SmtpClient[] = []

  before(async () => {
    fake = await startFakeClamd({
      connected: (socket) => behaviour.connected?.(socket),
      ended: (socket, body) => {
        if (body.includes('EICAR-STANDARD')) socket.end('stream: Eicar FOUND\0')
        else behaviour.ended?.(socket, body)
      },
    })
    world = await startPartnerWorld({
      scanner: `{ kind: clamd, address: "${fake.address}", verdictTimeout: 2s }`,
    })
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    behaviour = { ended: (socket) => socket.end(CLEAN) }
    const client = await begin()
    assert.match(
      (await client.command('From: max@office.test\r\nSubject: scanned\r\n\r\nx\r\n.')) ?? '',
      /^250 /,
    )
    client.close()
    await eventually('the spool is empty', 10_000, () => (spooled().length === 0 ? true : null))
    const unscanned = world.peer.received.filter(({ content }) => content.includes('unscanned'))
    assert.equal(unscanned.length, 0, 'nothing unscanned left')
    assert.deepEqual(
      world.gateway.events.filter(({ event }) => event === 'relay.fault'),
      [],
    )
  })
  after(async () => {
    await fake.stop()
    await world.dispose()
  })

  const spooled = (): string[] =>
    readdirSync(join(world.gateway.directory, 'data'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.parentPath.includes('spool'))
      .map(({ name }) => name)

  const begin = async (): Promise<SmtpClient> => {
    const client = await world.login()
    clients.push(client)
    for (const line of ['MAIL FROM:<max@office.test>', 'RCPT TO:<anna@peer.test>', 'DATA'])
      assert.match((await client.command(line)) ?? '', /^(250|354) /)
    return client
  }
  /** Writes as fast as the gateway reads, at most `octets`; ends early when a reply comes. */
  const pour = async (client: SmtpClient, octets: number): Promise<void> => {
    const piece = Buffer.from(`${'p'.repeat(62)}\r\n`.repeat(1024))
    const { socket } = client
    for (let sent = 0; sent < octets && socket.writable; sent += piece.length) {
      if (socket.write(piece)) continue
      const waiting = new AbortController()
      const { signal } = waiting
      await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })])
      waiting.abort()
    }
  }

  const faults: [string, Behaviour][] = [
    ['hangs after the end mark', {}],
    ['never reads', { connected: (socket) => void socket.pause() }],
    ['answers garbage', { ended: (socket) => socket.end('\x1b[2Jstream: OK OK\r\n') }],
    ['says OK before the message has ended', EARLY_OK],
    ['closes without a word', { ended: (socket) => socket.end() }],
    ['resets the connection', { ended: (socket) => socket.resetAndDestroy() }],
    ['dies at once', { connected: (socket) => socket.resetAndDestroy() }],
    [
      'dies in the middle of the stream',
      { connected: (socket) => socket.once('data', () => socket.destroy()) },
    ],
    ['answers without end', { ended: (socket) => socket.write('stream: '.padEnd(MEGABYTE, 'x')) }],
    ['says ERROR', { ended: (socket) => socket.end('INSTREAM size limit exceeded. ERROR\0') }],
  ]
  for (const [what, fault] of faults) {
    for (const [size, octets] of SIZES) {
      // A small mail goes to the scanner in one piece: that an OK was said before it was read cannot be seen.
      if (fault === EARLY_OK && octets === 0) continue
      test(`M1: it ${what}: ${size} is answered with 451 and kept nowhere`, async () => {
        behaviour = fault
        const client = await begin()
        client.write(HEADER)
        await pour(client, octets)
        client.write('x\r\n.\r\n')
        assert.equal(await client.reply(), UNSCANNED)
        assert.equal(await client.command('NOOP'), '250 2.0.0 OK')
      })
    }
  }
  test('M1: a client that leaves while the scanner works ends the scan too; its mail is not kept', async () => {
    const asked = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    behaviour = {
      ended: (socket) => {
        socket.once('close', () => left.resolve())
        asked.resolve()
      },
    }
    const client = await begin()
    client.write(`${HEADER}x\r\n.\r\n`)
    await asked.promise
    const before = world.gateway.events.length
    client.reset()
    await left.promise
    const complaints = world.gateway.events.slice(before).map(({ event }) => event)
    assert.ok(!complaints.includes('scanner.unavailable'), 'before the verdict was late')
  })
  test('M1: six clients pour 45 MB each against a scanner that does not read: the memory does not follow', async () => {
    behaviour = { connected: (socket) => void socket.pause() }
    const start = residentOctets(world.gateway.pid)
    const watch = watchMemory(world.gateway.pid)
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = await begin()
        client.write(HEADER)
        await pour(client, 45 * MEGABYTE)
        client.write('x\r\n.\r\n')
        assert.equal(await client.reply(), UNSCANNED)
      }),
    )
    const grown = watch.stop() - start
    assert.ok(grown < 120 * MEGABYTE, `grew by ${Math.round(grown / MEGABYTE)} MB for 270 MB of mail`)
  })
})
