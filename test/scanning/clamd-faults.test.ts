// What a scanner may do wrong, and what must come of it: never a clean verdict, never a wait without end.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Log } from '../../src/observability/log.ts'
import { createClamdScanner } from '../../src/scanning/clamd.ts'
import type { Scan, Scanner } from '../../src/scanning/scanner.ts'
import { scannerSettings } from '../../src/scanning/settings.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { freePort } from '../support/ports.ts'
import { type Behaviour, type FakeClamd, startFakeClamd } from './fake-clamd.ts'

const CLEAN = 'stream: OK\0'
const MESSAGE = Buffer.from('Subject: canary-subject\r\n\r\ncanary-body\r\n')
const VERDICT_TIMEOUT_MS = 120_000

interface Setting {
  readonly fake: FakeClamd
  readonly scanner: Scanner
  readonly clock: ManualClock
  /** Event names with their fields, as logged. */
  readonly logged: [string, object][]
}

/** A scanner in front of a fake clamd; both are stopped after the test, which must leave no timer behind. */
async function setUp(
  context: TestContext,
  behaviour: Behaviour,
  options: { concurrency?: number; before?: readonly string[]; path?: string } = {},
): Promise<Setting> {
  const fake = await startFakeClamd(behaviour, options.path)
  const clock = createManualClock()
  const logged: [string, object][] = []
  const log: Log = { event: (name, fields) => logged.push([name, fields]) }
  const settings = scannerSettings.parse({
    address: [...(options.before ?? []), fake.address],
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
  })
  const scanner = createClamdScanner({ clock, log }, settings)
  context.after(async () => {
    await scanner.stop()
    await fake.stop()
    assert.equal(clock.pending, 0, 'a timer leaked')
  })
  return { fake, scanner, clock, logged }
}

function scanOf(scanner: Scanner, message: Uint8Array = MESSAGE): Scan {
  const scan = scanner.begin()
  scan.write(message)
  return scan
}

/** Where a fake may listen; removed after the test. */
async function socketPath(context: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'fake-clamd-'))
  context.after(() => rm(home, { recursive: true, force: true }))
  return join(home, 'clamd.ctl')
}

const answering = (reply: string): Behaviour => ({ ended: (socket) => socket.end(reply, 'latin1') })

/** Writes 16 KB pieces until the scanner asks to wait; fails when it never does. */
function writeUntilFull(scan: Scan): { readonly octets: number; readonly room: Promise<void> } {
  const piece = Buffer.alloc(16 * 1024, 'x')
  for (let octets = piece.length; octets < 64 * 1024 * 1024; octets += piece.length) {
    const room = scan.write(piece)
    if (room) return { octets, room }
  }
  return assert.fail('the scanner takes octets without end')
}

test('M1: what is scanned is what was written, whatever the pieces', async (context) => {
  let received: Buffer = Buffer.alloc(0)
  const { scanner, logged } = await setUp(context, {
    ended: (socket, body) => {
      received = body
      socket.end(CLEAN, 'latin1')
    },
  })
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(30_000), fc.constantFrom(0, 65_535, 65_536, 200_000)), {
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const pieces = lengths.map((length, index) => Buffer.alloc(length, `${index} mail `))
      const scan = scanner.begin()
      for (const piece of pieces) await scan.write(piece)
      assert.deepEqual(await scan.finish(), { kind: 'clean' })
      assert.ok(received.equals(Buffer.concat(pieces)))
    }),
    { numRuns: 60 },
  )
  assert.deepEqual(logged, [])
})

test('M1: an infected message is named', async (context) => {
  const { scanner } = await setUp(context, answering('stream: Eicar-Signature FOUND\0'))
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'infected', signature: 'Eicar-Signature' })
})

const badReplies = {
  'answers garbage': ['\x1b[2Jhello\r\n', 'clamd answered "?[2Jhello?"'],
  'closes without a word': ['', 'clamd answered nothing'],
  'closes in the middle of OK': ['stream: O', 'clamd answered "stream: O"'],
  'forgets the NUL': ['stream: OK', 'clamd answered "stream: OK"'],
  'says OK twice': ['stream: OK\0stream: OK\0', 'clamd answered "stream: OK?stream: OK"'],
} as const

for (const [what, [reply, reason]] of Object.entries(badReplies)) {
  test(`M1: a clamd that ${what} gives no verdict, and the log says why without content`, async (context) => {
    const { scanner, fake, logged } = await setUp(context, answering(reply))
    assert.deepEqual(await scanOf(scanner).finish(), { kind: 'unavailable', reason })
    assert.deepEqual(logged, [['scanner.unavailable', { target: fake.address, reason }]])
  })
}

test('M1: a clamd that never stops talking is cut short', async (context) => {
  const { scanner } = await setUp(context, { ended: (socket) => socket.write('x'.repeat(600)) })
  const reason = `clamd answered "${'x'.repeat(200)}"`
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'unavailable', reason })
})

test('M1: a clamd that says OK before the message has ended gives no verdict', async (context) => {
  const { scanner, clock, logged } = await setUp(context, {
    connected: (socket) => socket.write(CLEAN, 'latin1'),
  })
  const scan = scanner.begin()
  await scan.write(Buffer.alloc(200_000))
  while (logged.length === 0) await clock.advance(0)
  const reason = 'clamd answered "stream: OK" before the message had ended'
  assert.deepEqual(await scan.finish(), { kind: 'unavailable', reason })
})

test('M1: a clamd that resets the connection gives no verdict', async (context) => {
  const { scanner } = await setUp(context, {
    connected: (socket) => socket.once('data', () => socket.resetAndDestroy()),
  })
  const verdict = await scanOf(scanner).finish()
  assert.equal(verdict.kind, 'unavailable')
})

test('M1: a silent clamd is left after the verdict timeout', async (context) => {
  const ended = Promise.withResolvers<Socket>()
  const { scanner, clock } = await setUp(context, { ended: (socket) => ended.resolve(socket) })
  const verdict = scanOf(scanner).finish()
  const left = once(await ended.promise, 'close')
  await clock.advance(VERDICT_TIMEOUT_MS - 1)
  assert.equal(clock.pending, 1)
  await clock.advance(1)
  assert.deepEqual(await verdict, {
    kind: 'unavailable',
    reason: `no verdict within ${VERDICT_TIMEOUT_MS} ms`,
  })
  await left
})

test('M1: nobody listens: no verdict at once', async (context) => {
  const { scanner, fake } = await setUp(context, {})
  await fake.stop()
  const verdict = await scanOf(scanner).finish()
  assert.deepEqual(verdict, { kind: 'unavailable', reason: `connect ECONNREFUSED ${fake.address}` })
})

test('M1: a scanner that is away is passed over, once in the log, until it has rested', async (context) => {
  const away = `127.0.0.1:${await freePort()}`
  const { scanner, logged, clock } = await setUp(context, answering(CLEAN), { before: [away] })
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'clean' })
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'clean' })
  const passedOver = ['scanner.passed-over', { target: away, reason: `connect ECONNREFUSED ${away}` }]
  assert.deepEqual(logged, [passedOver])
  await clock.advance(10_000)
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'clean' })
  assert.deepEqual(logged, [passedOver, passedOver])
})

test('M1: a clamd that does not read slows the sender down and holds little memory', async (context) => {
  const path = await socketPath(context)
  const { scanner, fake, clock } = await setUp(context, answering(CLEAN), { path })
  const scan = scanner.begin()
  let { octets, room } = writeUntilFull(scan)
  await room
  const [socket] = fake.connections
  assert.ok(socket)
  socket.pause()
  for (let hasRoom = true; hasRoom; ) {
    const more = writeUntilFull(scan)
    octets += more.octets
    room = more.room
    hasRoom = await Promise.race([room.then(() => true), clock.advance(0).then(() => false)])
  }
  assert.ok(octets <= 2 ** 20, `${octets} octets were taken`)
  socket.resume()
  await room
  assert.deepEqual(await scan.finish(), { kind: 'clean' })
})

test('M1: a clamd that never reads is left after the verdict timeout, and the sender is let go', async (context) => {
  const path = await socketPath(context)
  const { scanner, fake, clock } = await setUp(context, {}, { path })
  const scan = scanner.begin()
  let { room } = writeUntilFull(scan)
  await room
  fake.connections[0]?.pause()
  for (let hasRoom = true; hasRoom; ) {
    room = writeUntilFull(scan).room
    hasRoom = await Promise.race([room.then(() => true), clock.advance(0).then(() => false)])
  }
  await clock.advance(VERDICT_TIMEOUT_MS)
  await room
  assert.equal(scan.write(Buffer.alloc(1_000_000)), null)
  const reason = `the scanner took no octets for ${VERDICT_TIMEOUT_MS} ms`
  assert.deepEqual(await scan.finish(), { kind: 'unavailable', reason })
})

test('M1: no more verdicts are asked for at once than configured; the next follows when one is there', async (context) => {
  const waiting: Socket[] = []
  let isAnswering = false
  const answer = (socket: Socket): unknown =>
    isAnswering ? socket.end(CLEAN, 'latin1') : waiting.push(socket)
  const { scanner, fake, clock } = await setUp(context, { ended: answer }, { concurrency: 2 })
  const verdicts = [1, 2, 3].map(() => scanOf(scanner).finish())
  await fake.connected(2)
  await clock.advance(0)
  assert.equal(fake.connections.length, 2)
  isAnswering = true
  for (const socket of waiting) answer(socket)
  assert.deepEqual(await Promise.all(verdicts), [{ kind: 'clean' }, { kind: 'clean' }, { kind: 'clean' }])
  assert.equal(fake.connections.length, 3)
})

test('M1: slow uploads of large messages do not keep a small one from its verdict', async (context) => {
  const { scanner, fake } = await setUp(context, answering(CLEAN), { concurrency: 1 })
  const slow = [1, 2, 3].map(() => scanOf(scanner, Buffer.alloc(100_000)))
  await fake.connected(3)
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'clean' })
  for (const scan of slow) assert.deepEqual(await scan.finish(), { kind: 'clean' })
})

test('M1: the line of waiting messages is bounded', async (context) => {
  const { scanner, clock } = await setUp(context, {}, { concurrency: 1 })
  const verdicts = Array.from({ length: 1001 }, () => scanOf(scanner).finish())
  const reason = 'too many messages wait for the scanner'
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'unavailable', reason })
  await clock.advance(VERDICT_TIMEOUT_MS)
  for (const verdict of await Promise.all(verdicts)) assert.equal(verdict.kind, 'unavailable')
})

test('M1: an aborted scan closes its connection, gives its place back and logs nothing', async (context) => {
  const { scanner, fake, logged } = await setUp(context, answering(CLEAN), { concurrency: 1 })
  const large = scanOf(scanner, Buffer.alloc(100_000))
  await fake.connected(1)
  const [socket] = fake.connections
  assert.ok(socket)
  const left = once(socket, 'close')
  large.abort()
  large.abort()
  await left
  assert.deepEqual(await large.finish(), { kind: 'unavailable', reason: 'aborted' })
  scanOf(scanner).abort()
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'clean' })
  assert.deepEqual(logged, [])
})

test('M1: stop ends what is under way without a verdict, and later scans too', async (context) => {
  const { scanner, fake } = await setUp(context, {})
  const running = scanOf(scanner).finish()
  await fake.connected(1)
  await scanner.stop()
  assert.deepEqual(await running, { kind: 'unavailable', reason: 'aborted' })
  assert.deepEqual(await scanOf(scanner).finish(), { kind: 'unavailable', reason: 'aborted' })
})

test('M1: the self-test fails on a scanner that finds nothing, even beside one that does', async (context) => {
  const seeing = await startFakeClamd(answering('stream: Eicar FOUND\0'))
  context.after(() => seeing.stop())
  const { scanner, fake } = await setUp(context, answering(CLEAN), { before: [seeing.address] })
  const reason = `${fake.address}: the EICAR test string was not found`
  assert.deepEqual(await scanner.selfTest(), { ok: false, reason })
})

test('M1: the self-test is content with one of two scanners being away', async (context) => {
  const away = `127.0.0.1:${await freePort()}`
  const { scanner } = await setUp(context, answering('stream: Eicar FOUND\0'), { before: [away] })
  assert.deepEqual(await scanner.selfTest(), { ok: true })
})
