// What operators order and what a lost lease forbids: drop, move, hold, wake-up, fencing before the final dot.
import { strict as assert } from 'node:assert'
import { type TestContext, test } from 'node:test'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import type { Step } from '../support/recipient-server.ts'
import {
  ARRIVES,
  BODY,
  certificate,
  createWorld,
  newMessage,
  ONE_MX,
  TWO_MX,
  until,
  type World,
} from './harness.ts'

/** A world with a message that waits because nobody listens at its MX host; the destination is out of service. */
async function createDeadWorld(
  t: TestContext,
  to = ['max@recipient.test'],
): Promise<World & { id: string; clock: ManualClock }> {
  const clock = createManualClock()
  const world = await createWorld(t, { zone: ONE_MX, clock })
  world.delivery.start()
  const message = newMessage({ to, acceptedAt: Date.UTC(2026, 0, 5, 9) })
  await world.send(message)
  await world.queue.whenSettled(to.length)
  assert.equal(world.delivery.activity().outOfService, 1)
  return { ...world, clock, id: message.meta.id }
}

test('O3: what an operator drops fails at once, with a notice, although its destination is out of service', async (t) => {
  const world = await createDeadWorld(t, ['max@recipient.test', 'eva@recipient.test'])
  assert.equal(await world.queue.drop({ messageId: world.id, index: 1 }, true), 1)
  await world.clock.advance(0)
  await world.queue.whenSettled(3)
  assert.deepEqual(world.outcomes().slice(2), ['failed 5.0.0 operator'])
  const entry = world.queue.entries.at(-1)
  assert.equal(entry?.forwardPath, 'eva@recipient.test')
  assert.equal(entry.facts['detail'], 'An operator of this gateway ended the delivery.')
  assert.deepEqual(
    world.notices.map(({ kind, items }) => [kind, items.map(({ claim }) => claim.index)]),
    [['failed', [1]]],
  )
  assert.deepEqual(await world.queue.counts(), { waiting: 1, active: 0, held: 0 })
})

test('O3 T7: what was held until its lifetime was over fails as expired', async (t) => {
  const clock = createManualClock()
  const world = await createWorld(t, { zone: ONE_MX, clock })
  await world.queue.enqueue(newMessage({ acceptedAt: clock.now() - 120 * 3_600_000 }), [], { lease: false })
  await world.queue.drop({}, true)
  world.delivery.start()
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['failed 5.4.7 expired'])
  assert.equal(
    world.queue.entries[0]?.facts['detail'],
    'Not delivered within 120 h; last: 4.0.0 An operator of this gateway held it.',
  )
})

test('O3: what is dropped silently is gone without a notice, but with a journal entry and an event', async (t) => {
  const world = await createDeadWorld(t)
  await world.queue.hold({})
  assert.equal(await world.queue.drop({}, false), 1)
  await world.clock.advance(0)
  await world.queue.whenSettled(2)
  const entry = world.queue.entries.at(-1)
  assert.deepEqual(
    [entry?.kind, entry?.facts],
    [
      'dropped',
      {
        attempt: 1,
        senderTold: false,
        status: '4.4.1',
        cause: 'connection-trouble',
        detail: 'The connection was refused (ECONNREFUSED).',
      },
    ],
  )
  assert.deepEqual(world.notices, [])
  assert.deepEqual(world.events.at(-1), {
    name: 'delivery.dropped',
    fields: {
      message: world.id,
      customer: 'customer',
      reversePath: 'anna@customer.test',
      forwardPath: 'max@recipient.test',
      attempt: 1,
    },
  })
  assert.deepEqual(await world.queue.counts(), { waiting: 0, active: 0, held: 0 })
})

test('O3: what is held is not attempted; released, it goes at once, without waiting for a poll', async (t) => {
  const clock = createManualClock()
  const world = await createWorld(t, { zone: ONE_MX, clock })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  await world.queue.enqueue(newMessage(), [], { lease: false })
  await world.queue.hold({ domain: 'recipient.test' })
  world.delivery.start()
  await clock.advance(5000)
  assert.equal(recipient.connections, 0)
  await world.queue.unhold({})
  await clock.advance(0)
  const [mail] = await recipient.mails(1)
  assert.equal(String(mail?.content).endsWith(ARRIVES), true)
})

test('O3: moved mail goes to the other host, although its own destination is out of service', async (t) => {
  const world = await createDeadWorld(t, ['max@recipient.test', 'eva@recipient.test'])
  const other = await world.recipient('127.0.0.12', { tls: certificate })
  assert.equal(await world.queue.move({ messageId: world.id, index: 0 }, `127.0.0.12:${other.port}`), 1)
  await world.clock.advance(0)
  const [mail] = await other.mails(1)
  assert.deepEqual(mail?.forwardPaths, ['max@recipient.test'])
  await world.queue.whenSettled(3)
  assert.deepEqual(world.outcomes().slice(2), ['delivered'])
  assert.equal(world.delivery.activity().outOfService, 1, 'the domain itself is as dead as before')
})

test('O3 T9: an address that an operator moves mail to is his decision', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX, allowedNetworks: [] })
  world.delivery.start()
  const other = await world.recipient('127.0.0.12', { tls: certificate })
  await world.queue.enqueue(newMessage(), [], { lease: false })
  await world.queue.move({}, `127.0.0.12:${other.port}`)
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['delivered'])
})

test('O3 T1: a host that mail is moved to must fulfil the same requirement: without TLS it gets nothing', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const plain = await world.recipient('127.0.0.12', { tls: null })
  await world.queue.enqueue(newMessage(), [], { lease: false })
  await world.queue.move({}, `127.0.0.12:${plain.port}`)
  world.delivery.start()
  await world.queue.whenSettled(1)
  assert.deepEqual(world.outcomes(), ['deferred 4.7.10 no-encrypted-path'])
  await plain.allClosed()
  assert.deepEqual(plain.commands, ['EHLO gateway.test', 'QUIT'])
})

test('O3: moved and unmoved mail to one domain share neither transaction nor connection', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const own = await world.recipient('127.0.0.11', { tls: certificate })
  const other = await world.recipient('127.0.0.12', { tls: certificate })
  const message = newMessage({ to: ['a@recipient.test', 'b@recipient.test', 'c@recipient.test'] })
  await world.queue.enqueue(message, [], { lease: false })
  await world.queue.move({ messageId: message.meta.id, index: 1 }, `127.0.0.12:${other.port}`)
  await world.queue.drop({ messageId: message.meta.id, index: 2 }, false)
  world.delivery.start()
  await world.queue.whenSettled(3)
  assert.deepEqual(
    [own, other].map(({ received }) => received.map(({ forwardPaths }) => forwardPaths)),
    [[['a@recipient.test']], [['b@recipient.test']]],
  )
  assert.equal(world.delivery.activity().idleConnections, 2)
  await world.send(newMessage())
  await own.mails(2)
  await until(() => world.delivery.activity().idleConnections === 2)
  const moved = newMessage({ to: ['d@recipient.test'] })
  await world.queue.enqueue(moved, [], { lease: false })
  await world.queue.move({ messageId: moved.meta.id }, `127.0.0.12:${other.port}`)
  await other.mails(2)
  assert.deepEqual([own.connections, own.messages, other.connections, other.messages], [1, 2, 1, 2])
})

const LARGE = [Buffer.from('\r\n'), ...Array(40).fill(Buffer.from(`${'x'.repeat(76)}\r\n`.repeat(105)))]
const fences: readonly [name: string, asked: number, body: readonly Uint8Array[], sees: string][] = [
  ['between RCPT and the content', 2, [Buffer.from(BODY)], 'nothing of the content'],
  ['right before a small message leaves', 3, [Buffer.from(BODY)], 'nothing of the content'],
  ['while a large message leaves', 3, LARGE, 'content without the final dot'],
]
for (const [name, asked, body, sees] of fences) {
  test(`O1: a lease that ends ${name}: the next hop sees ${sees}, and the claim is given back`, async (t) => {
    const world = await createWorld(t, { zone: TWO_MX })
    const steps: string[] = []
    const script = ({ at }: Step) => {
      steps.push(at)
      return undefined
    }
    const first = await world.recipient('127.0.0.11', { tls: certificate, script })
    const second = await world.recipient('127.0.0.12', { tls: certificate })
    let answers = 0
    world.queue.mayStillSend = () => ++answers < asked
    // As in a store: nothing can be claimed without a lease.
    world.queue.claim = async () => []
    const message = newMessage({ to: ['max@recipient.test', 'eva@recipient.test'], body })
    await world.send(message)
    await until(() => world.events.length === 2)
    await first.allClosed()
    assert.equal(answers, asked)
    assert.equal(first.messages + second.connections, 0)
    assert.deepEqual(
      [steps.includes('DATA'), steps.includes('content'), steps.includes('dot')],
      [true, body === LARGE, false],
    )
    assert.deepEqual(
      world.events,
      ['max@recipient.test', 'eva@recipient.test'].map((forwardPath) => ({
        name: 'delivery.fenced',
        fields: { message: message.meta.id, forwardPath, stage: 'send' },
      })),
    )
    // Given back: if the lease only lapsed and nobody took over, they would be stuck otherwise.
    assert.deepEqual(world.queue.settled, [])
    assert.deepEqual(
      world.queue.releases.map(({ index }) => index),
      [0, 1],
    )
    assert.deepEqual(await world.queue.counts(), { waiting: 2, active: 0, held: 0 })
    await until(() => world.delivery.activity().running === 0)
  })
}

test('O1: a node that has lost its lease does not even begin', async (t) => {
  const world = await createWorld(t, { zone: ONE_MX })
  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  world.queue.fenced = true
  await world.send(newMessage())
  await until(() => world.events.length > 0)
  assert.equal(world.events[0]?.name, 'delivery.fenced')
  assert.equal(recipient.connections, 0)
})
