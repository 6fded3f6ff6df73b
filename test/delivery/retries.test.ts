// Time: retries, the window without TLS, delay notices, expiry, destinations out of service. The clock is
// moved by hand; the recipients are real.
import { strict as assert } from 'node:assert'
import { type TestContext, test } from 'node:test'
import { ownFailure } from '../../src/delivery/classify.ts'
import { createDestinations, type Destinations } from '../../src/delivery/destinations.ts'
import { type Job, jobsOf } from '../../src/delivery/job.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { createMemoryQueue } from '../support/memory-queue.ts'
import type { Step } from '../support/recipient-server.ts'
import {
  certificate,
  createWorld,
  newMessage,
  ONE_MX,
  until,
  type World,
  type WorldOptions,
} from './harness.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

async function createTimedWorld(
  t: TestContext,
  options: Partial<WorldOptions> = {},
): Promise<World & { clock: ManualClock }> {
  const clock = createManualClock()
  const world = await createWorld(t, { zone: ONE_MX, clock, ...options })
  world.delivery.start()
  return { ...world, clock }
}

/** Moves the clock to the next attempt, again and again, until the delivery is done; returns when each was. */
async function runOut(world: World & { clock: ManualClock }, start: number): Promise<number[]> {
  const times: number[] = []
  for (;;) {
    await world.queue.whenSettled(times.length + 1)
    times.push(world.clock.now() - start)
    const last = world.queue.settled.at(-1)
    if (last?.kind !== 'later') return times
    await world.clock.advance(Math.max(0, last.nextAttemptAt - world.clock.now()))
    // The poll that claims it may be up to two seconds away.
    for (let look = 0; look < 8 && world.delivery.activity().running === 0; look++)
      await world.clock.advance(500)
  }
}

test('T1: no MX offers STARTTLS, the sender is told within 15 min and not before', async (t) => {
  const world = await createTimedWorld(t)
  await world.recipient('127.0.0.11', { tls: null })
  const start = world.clock.now()
  await world.send(newMessage({ acceptedAt: start }))
  const times = await runOut(world, start)
  assert.equal(world.outcomes().at(-1), 'failed 5.7.10 no-encrypted-path')
  const end = times.at(-1) ?? 0
  assert(end >= 15 * MINUTE && end <= 15 * MINUTE + 5000, `told after ${end} ms`)
  assert(times.length >= 3, 'a hiccup has several chances')
  assert.deepEqual(
    world.notices.map(({ kind, items }) => [kind, items[0]?.outcome.kind]),
    [['failed', 'failed']],
  )
})

test('T1: STARTTLS is back within the window: delivered, nobody is told', async (t) => {
  const world = await createTimedWorld(t)
  const script = ({ at, connection }: Step) =>
    at === 'STARTTLS' && connection === 1 ? '454 later\r\n' : undefined
  await world.recipient('127.0.0.11', { tls: certificate, script })
  const start = world.clock.now()
  await world.send(newMessage({ acceptedAt: start }))
  await runOut(world, start)
  assert.deepEqual(world.outcomes(), ['deferred 4.7.10 no-encrypted-path', 'delivered'])
  assert.deepEqual(world.notices, [])
})

test('T7 N2: temporary trouble is retried for 120 h, with one delay notice, then expires with the last words', async (t) => {
  const world = await createTimedWorld(t)
  const script = ({ at }: Step) => (at === 'RCPT' ? '450 4.2.0 come back tomorrow\r\n' : undefined)
  await world.recipient('127.0.0.11', { tls: certificate, script })
  const start = world.clock.now()
  await world.send(newMessage({ acceptedAt: start }))
  const times = await runOut(world, start)
  const end = times.at(-1) ?? 0
  assert(end >= 120 * HOUR && end < 120 * HOUR + 5000, `ended after ${end / HOUR} h`)
  assert(times.length > 20 && times.length < 150, `${times.length} attempts`)
  assert.deepEqual(
    world.notices.map(({ kind }) => kind),
    ['delayed', 'failed'],
  )
  assert(
    times.some((time) => time >= HOUR && time < HOUR + 5000),
    'an attempt when the delay notice is due',
  )
  const last = world.queue.entries.at(-1)
  assert.equal(world.outcomes().at(-1), 'failed 5.4.7 expired')
  assert.equal(
    last?.facts['detail'],
    'Not delivered within 120 h; last: 4.2.0 The host answered RCPT with 450.',
  )
  assert.equal(last?.facts['reply'], '450 4.2.0 come back tomorrow')
})

test('N2: a mail that gets through after a delay notice makes the notice that it did', async (t) => {
  const world = await createTimedWorld(t)
  let busy = true
  const script = ({ at }: Step) => (at === 'RCPT' && busy ? '450 4.2.0 later\r\n' : undefined)
  await world.recipient('127.0.0.11', { tls: certificate, script })
  const start = world.clock.now()
  await world.send(newMessage({ acceptedAt: start - 2 * HOUR }))
  await world.queue.whenSettled(1)
  busy = false
  await runOut(world, start)
  assert.deepEqual(
    world.notices.map(({ kind }) => kind),
    ['delayed', 'delay-over'],
  )
})

test('N1: recipients that fail for different causes get different notices, those of one cause share one', async (t) => {
  const world = await createTimedWorld(t)
  const script = ({ at, line }: Step) => {
    if (at !== 'RCPT') return undefined
    return line.includes('full') ? '552 5.2.2 full\r\n' : '550 5.1.1 unknown\r\n'
  }
  await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage({ to: ['a@recipient.test', 'full@recipient.test', 'b@recipient.test'] }))
  await world.queue.whenSettled(3)
  assert.deepEqual(
    world.notices.map(({ items }) => items.map(({ claim }) => claim.index)),
    [[0, 2], [1]],
  )
})

test('N4: a notice of ours that fails makes no notice, but an event for the operator', async (t) => {
  const world = await createTimedWorld(t)
  await world.recipient('127.0.0.11', {
    tls: certificate,
    script: ({ at }) => (at === 'RCPT' ? '550 5.1.1 no\r\n' : undefined),
  })
  await world.send(newMessage({ meta: { kind: 'notification' }, envelope: { reversePath: null } }))
  await world.queue.whenSettled(1)
  assert.deepEqual(world.notices, [])
  assert.equal(world.events.filter((event) => event.name === 'notification.undeliverable').length, 1)
})

test('N1: while the failure notice cannot be made the failure is not recorded as final', async (t) => {
  let broken = true
  const world = await createTimedWorld(t, {
    planNotices: () => {
      if (broken) throw new Error('template missing')
      return []
    },
  })
  await world.recipient('127.0.0.11', {
    tls: certificate,
    script: ({ at }) => (at === 'RCPT' ? '550 5.1.1 no\r\n' : undefined),
  })
  const start = world.clock.now()
  await world.send(newMessage({ acceptedAt: start }))
  await world.queue.whenSettled(1)
  broken = false
  await runOut(world, start)
  assert.deepEqual(world.outcomes(), ['deferred 4.1.1 local-fault', 'failed 5.1.1 address-unknown'])
})

test('T7: notices that a result causes are delivered without waiting for the poll', async (t) => {
  const notice = newMessage({
    to: ['anna@recipient.test'],
    meta: { kind: 'notification' },
    envelope: { reversePath: null },
  })
  const world = await createTimedWorld(t, { planNotices: () => [notice] })
  const script = ({ at, line }: Step) =>
    at === 'RCPT' && line.includes('gone') ? '550 5.1.1 no\r\n' : undefined
  const recipient = await world.recipient('127.0.0.11', { tls: certificate, script })
  await world.send(newMessage({ to: ['gone@recipient.test'] }))
  const [mail] = await recipient.mails(1)
  assert.deepEqual([mail?.reversePath, mail?.forwardPaths], ['', ['anna@recipient.test']])
})

test('T7: a dead destination is left alone as a whole, probed once, and taken up at once when it is back', async (t) => {
  const world = await createTimedWorld(t)
  const start = world.clock.now()
  // Nobody listens on 127.0.0.11 yet.
  for (let index = 0; index < 10; index++) await world.send(newMessage({ acceptedAt: start }))
  await world.queue.whenSettled(10)
  const attempts = world.queue.settled.filter(
    (settled) => settled.kind === 'later' && settled.state.attempts > 0,
  )
  assert.equal(
    attempts.length,
    2,
    'two were under way together, the rest waits without an attempt of its own',
  )
  assert.equal(world.delivery.activity().outOfService, 1)

  await world.send(newMessage({ acceptedAt: start }))
  await world.queue.whenSettled(11)
  const fresh = world.queue.settled.at(-1)
  assert.equal(fresh?.kind === 'later' && fresh.state.attempts, 0, 'fresh mail waits for the probe as well')

  const recipient = await world.recipient('127.0.0.11', { tls: certificate })
  for (let second = 0; second < 45 && recipient.messages < 11; second++) {
    await world.clock.advance(1000)
    await until(() => world.delivery.activity().running === 0)
  }
  await world.queue.whenSettled(22)
  assert.equal(recipient.messages, 11)
  assert.equal(world.delivery.activity().outOfService, 0)
})

const DOWN = ownFailure('deferred', 'host', '4.4.1', 'connection-trouble', 'down')

async function jobs(destinations: Destinations, domains: readonly string[]): Promise<string[]> {
  const queue = createMemoryQueue(createManualClock())
  const offers: string[] = []
  for (const name of domains) {
    const claims = await queue.enqueue(newMessage({ to: [`max@${name}`] }), [], { lease: true })
    for (const job of jobsOf(claims)) offers.push(destinations.offer(job).kind)
  }
  return offers
}
const limits = { waitingMax: 8, sessionsMax: 4, pauseFirst: 1000, pauseMax: 4000 }

test('T7: destinations take turns, each within its window, which opens with success', async () => {
  const destinations = createDestinations(createManualClock(), systemRandom, limits)
  await jobs(destinations, ['a.test', 'a.test', 'a.test', 'a.test', 'b.test', 'c.test'])
  const first = destinations.next()
  const order = [first, ...Array.from({ length: 5 }, () => destinations.next())].map(
    (job) => job?.domain ?? null,
  )
  assert.deepEqual(order, ['a.test', 'b.test', 'c.test', 'a.test', null, null])
  assert(first)
  destinations.finished(first, null)
  assert.deepEqual(
    [destinations.next()?.domain, destinations.next()?.domain, destinations.next()],
    ['a.test', 'a.test', null],
  )
})

test('T7: memory is bounded, and no destination takes all of it', async () => {
  const destinations = createDestinations(createManualClock(), systemRandom, limits)
  const offers = await jobs(destinations, [
    ...Array(6).fill('a.test'),
    'b.test',
    'b.test',
    'c.test',
    'c.test',
    'd.test',
  ])
  assert.deepEqual(offers, [
    ...['queued', 'queued', 'queued', 'queued', 'full', 'full'],
    ...['queued', 'queued', 'queued', 'queued', 'full'],
  ])
  assert.deepEqual([...destinations.skip()], ['a.test'])
  assert.equal(destinations.clear().length, 8)
  assert.equal(destinations.waiting, 0)
})

test('T7: pauses of a dead destination grow up to their limit, with one probe after each', async () => {
  const clock = createManualClock()
  const destinations = createDestinations(
    clock,
    { ...systemRandom, fraction: () => 0.5 },
    { ...limits, sessionsMax: 8 },
  )
  // A window wide open, so that nothing but the outage keeps it to one probe.
  for (let round = 0; round < 8; round++) {
    await jobs(destinations, ['a.test', 'a.test', 'a.test', 'a.test'])
    while (destinations.waiting > 0) {
      const started: Job[] = []
      for (let job = destinations.next(); job !== null; job = destinations.next()) started.push(job)
      for (const job of started) destinations.finished(job, null)
    }
  }
  const pauses: number[] = []
  for (let round = 0; round < 4; round++) {
    await jobs(destinations, ['a.test', 'a.test', 'a.test'])
    const probe = destinations.next()
    assert(probe)
    if (round > 0) assert.equal(destinations.next(), null, 'one probe')
    const { until: end, postponed } = destinations.finished(probe, DOWN)
    assert.equal(postponed.length, 2)
    pauses.push(end - clock.now())
    assert.deepEqual(await jobs(destinations, ['a.test']), ['paused'])
    await clock.advance(end - clock.now())
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 4000])
  await jobs(destinations, ['a.test'])
  const probe = destinations.next()
  assert(probe)
  assert.deepEqual(destinations.finished(probe, null), { postponed: [], until: 0, recovered: true })
})
