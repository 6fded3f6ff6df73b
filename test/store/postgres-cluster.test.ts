// Several nodes on one database: who may send what, what becomes of a node that falls silent, and of one that
// wakes up again.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Claim } from '../../src/queue/message.ts'
import { parseDomain } from '../../src/smtp/domain.ts'
import { openPostgresAdmin } from '../../src/store/postgres/admin.ts'
import { parseStoreAddress } from '../../src/store/settings.ts'
import { createSteps } from '../contract/contract-store.ts'
import { eventually } from '../support/eventually.ts'
import { createPausableClock } from '../support/lease-clocks.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { requirePart } from '../support/parts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { openSharedStore, type SharedOptions, type SharedStore } from './postgres-store.ts'

const postgres = requirePart('postgres')
const NOBODY: ReadonlySet<string> = new Set()
const LIMIT_MS = 15_000
const CLUSTER = { heartbeat: 100, fenceAfter: 500, deadAfter: 1000 }

const names = (claims: readonly Claim[]): string[] =>
  claims.map(({ message, index }) => `${message.id}:${index}`)

describe('nodes that share a database', { skip: postgres.skip }, () => {
  let server: PostgresServer
  let url: string
  let clock: ManualClock
  let opened: SharedStore[] = []
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())
  beforeEach(async () => {
    url = await server.createDatabase()
    clock = createManualClock()
  })
  afterEach(async () => {
    for (const node of opened) await node.dispose()
    opened = []
  })

  const join = async (nodeName: string, more: Partial<SharedOptions> = {}): Promise<SharedStore> => {
    const node = await openSharedStore({ server, url, nodeName, clock, cluster: CLUSTER, ...more })
    opened.push(node)
    return node
  }
  const told = (node: SharedStore, event: string): Promise<true> =>
    eventually(event, LIMIT_MS, () => (node.events.some(({ name }) => name === event) ? true : null))
  const claimSome = (node: SharedStore): Promise<Claim[]> =>
    eventually('something to claim', LIMIT_MS, async () => {
      const claims = await node.queue.claim(100, NOBODY)
      return claims.length > 0 ? claims : null
    })

  test('O1: two nodes that claim at once share the work and get nothing twice', async () => {
    const [one, other] = await Promise.all([join('one'), join('other')])
    const { enqueue } = createSteps(() => one)
    await enqueue(Array.from({ length: 600 }, (_, index) => `r${index}@example.org`))
    const rounds = await Promise.all(
      [one, other, one, other, one, other].map((node) => node.queue.claim(100, NOBODY)),
    )
    assert.equal(new Set(rounds.flatMap(names)).size, 600)
    assert.equal(rounds.flat().length, 600)
  })

  test('O1: what one node accepted another one delivers, body and all, and both tell the same story', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const { message } = await createSteps(() => one).enqueue(['a@example.org'])
    const steps = createSteps(() => other)
    const [claim] = await other.queue.claim(1, NOBODY)
    assert.ok(claim)
    assert.equal((await steps.read(claim)).toString(), '\r\nGuten Tag\r\n')
    assert.deepEqual(await other.queue.settle([steps.done(claim)]), ['ok'])
    assert.deepEqual(await one.queue.counts(), { waiting: 0, active: 0, held: 0 })
    assert.deepEqual(await other.journal.trace(message.meta.id), await one.journal.trace(message.meta.id))
  })

  test('O1: two nodes that settle the last two recipients at once leave no message behind', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const { enqueue, done } = createSteps(() => one)
    for (let round = 0; round < 20; round++) {
      await enqueue(['a@example.org', 'b@example.org'])
      const [[first], [second]] = [await one.queue.claim(1, NOBODY), await other.queue.claim(1, NOBODY)]
      assert.ok(first && second)
      const results = await Promise.all([one.queue.settle([done(first)]), other.queue.settle([done(second)])])
      assert.deepEqual(results, [['ok'], ['ok']])
    }
    assert.equal(await server.sql('SELECT count(*) FROM secure_transport.message', url), '0')
    assert.equal(await server.sql('SELECT count(*) FROM secure_transport.chunk', url), '0')
  })

  test('O1: a node that falls silent loses its deliveries, and when it wakes up it can neither send nor settle', async () => {
    const leaseClock = createPausableClock()
    const sleeper = await join('sleeper', { deps: { leaseClock } })
    const other = await join('other')
    const { enqueue, done, later } = createSteps(() => sleeper)
    const { claims } = await enqueue(['a@example.org', 'b@example.org'], { lease: true })
    assert.equal(sleeper.queue.mayStillSend(claims), true)

    leaseClock.pause()
    const taken = await claimSome(other)
    assert.equal(sleeper.queue.mayStillSend(), false, 'it fell silent before others took over')
    assert.deepEqual(names(taken), names(claims))
    assert.deepEqual(
      taken.map(({ token }) => token),
      [2, 2],
    )
    await told(other, 'cluster.node-dead')
    assert.deepEqual(sleeper.queue.health(), { accepting: false, reason: 'database-away' })
    await assert.rejects(enqueue(['c@example.org'], { lease: true }), { code: 'store-unavailable' })
    assert.deepEqual(await sleeper.queue.claim(10, NOBODY), [])

    leaseClock.resume()
    await told(sleeper, 'cluster.lease-lost')
    assert.equal(sleeper.queue.mayStillSend(claims), false, 'the new run does not own what the old one did')
    assert.equal(sleeper.queue.mayStillSend(), false, 'as long as claims of the old one are about')
    const [first, second] = claims
    assert.ok(first && second)
    const [, waiting] = taken
    assert.ok(waiting)
    const results = await sleeper.queue.settle([done(first), later(second, clock.now() + 1)])
    assert.deepEqual(results, ['fenced', 'fenced'])
    await sleeper.queue.release(claims)
    assert.equal(sleeper.queue.mayStillSend(), true)
    assert.deepEqual(await other.queue.settle(taken.map((claim) => createSteps(() => other).done(claim))), [
      'ok',
      'ok',
    ])
    const again = await enqueue(['d@example.org'], { lease: true })
    assert.equal(sleeper.queue.mayStillSend(again.claims), true)
    assert.deepEqual(sleeper.queue.health(), { accepting: true, reason: null })
  })

  test('O1: what a node commits after others took it for dead is taken over as well', async () => {
    const leaseClock = createPausableClock()
    const sleeper = await join('sleeper', { deps: { leaseClock } })
    const other = await join('other')
    const { enqueue } = createSteps(() => sleeper)
    leaseClock.pause()
    await told(other, 'cluster.node-dead')
    // As a transaction of the sleeper that was on its way all the time would do it.
    const { message } = await createSteps(() => other).enqueue(['late@example.org'])
    await server.sql(
      `UPDATE secure_transport.delivery SET owner = (SELECT id FROM secure_transport.node WHERE name = 'sleeper'), token = 1`,
      url,
    )
    const [claim] = await claimSome(other)
    assert.equal(claim?.message.id, message.meta.id)
    leaseClock.resume()
    await told(sleeper, 'cluster.lease-lost')
    await enqueue(['next@example.org'], { lease: true })
  })

  test('O1: a node that stops leaves its deliveries to the others at once', async () => {
    const [leaver, other] = [await join('leaver', { cluster: {} }), await join('other')]
    await createSteps(() => leaver).enqueue(['a@example.org'], { lease: true })
    await leaver.dispose()
    assert.equal((await claimSome(other)).length, 1)
    assert.ok(other.events.every(({ name }) => name !== 'cluster.node-dead'))
  })

  test('O1: a node that was killed takes over what its former run left, without waiting', async () => {
    const leaseClock = createPausableClock()
    const killed = await join('same', { cluster: {}, deps: { leaseClock } })
    await createSteps(() => killed).enqueue(['a@example.org'], { lease: true })
    // While the process lives, another one of the same name (by mistake) leaves its deliveries alone.
    const mistaken = await join('same', { cluster: {} })
    assert.deepEqual(await mistaken.queue.claim(10, NOBODY), [])
    await mistaken.dispose()
    leaseClock.pause()
    await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'", url)
    await eventually('the end of its lock', LIMIT_MS, async () => {
      const locks =
        "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory'"
      return (await server.sql(`${locks} AND datname = current_database()`, url)) === '0' ? true : null
    })
    const restarted = await join('same', { cluster: {} })
    assert.equal((await restarted.queue.claim(10, NOBODY)).length, 1)
    const { fields } = restarted.events.find(({ name }) => name === 'queue.recovered') ?? {}
    assert.deepEqual(fields, { deliveries: 1, orphans: 0 })
    leaseClock.resume()
  })

  test('O3: what an operator changes wakes every node', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const woken = [one, other].map((node) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      return { node, promise, resolve }
    })
    const { enqueue, later } = createSteps(() => one)
    const { claims } = await enqueue(['a@example.org'], { lease: true })
    await one.queue.settle(claims.map((claim) => later(claim, clock.now() + 3_600_000)))
    for (const { node, resolve } of woken) node.queue.onDue(resolve)
    const address = parseStoreAddress(url)
    assert.ok(address?.kind === 'postgres')
    const admin = await openPostgresAdmin(address, clock)
    try {
      assert.equal(await admin.queue.retryNow({ domain: 'example.org' }), 1)
      await Promise.all(woken.map(({ promise }) => promise))
      assert.equal((await other.queue.claim(10, NOBODY)).length, 1)
    } finally {
      await admin.close()
    }
  })

  test('S3: accounts are the same for every node', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const customer = {
      name: 'Kanzlei Müller',
      domains: [parseDomain('example.org') ?? assert.fail()],
      addresses: ['max@example.com'],
      cleartextAllowed: true,
      nullReversePathAllowed: false,
    }
    const credential = { login: 'mueller', customer: customer.name, passwordHash: 'scrypt$1' }
    await one.accounts.putCustomer(customer)
    await one.accounts.putCredential({ ...credential, login: 'Mueller' })
    assert.deepEqual(await other.accounts.findCredential('MUELLER'), { credential, customer })
    const changed = { ...customer, addresses: [], cleartextAllowed: false }
    await other.accounts.putCustomer(changed)
    await other.accounts.putCredential({ ...credential, login: 'amt', passwordHash: 'scrypt$2' })
    assert.deepEqual(await one.accounts.findCustomer(customer.name), changed)
    assert.deepEqual(await one.accounts.listCustomers(), [{ customer: changed, logins: ['amt', 'mueller'] }])
    assert.equal(await one.accounts.removeCredential('AMT'), true)
    assert.equal(await one.accounts.removeCredential('amt'), false)
    assert.equal(await other.accounts.removeCustomer(customer.name), true)
    assert.equal(await other.accounts.removeCustomer(customer.name), false)
    assert.equal(await one.accounts.findCredential('mueller'), null)
    assert.equal(await one.accounts.findCustomer(customer.name), null)
    await assert.rejects(one.accounts.putCredential(credential), { code: 'internal' })
  })

  test('T7: route and order of an operator reach whichever node claims', async () => {
    const [one, other] = [await join('one'), await join('other')]
    const { enqueue } = createSteps(() => one)
    const { message: moved } = await enqueue(['a@example.org'])
    const { message: dropped } = await enqueue(['b@example.org'])
    assert.equal(await one.queue.move({ messageId: moved.meta.id }, 'mx.example.net:25'), 1)
    assert.equal(await one.queue.drop({ messageId: dropped.meta.id }, false), 1)
    const claims = await other.queue.claim(10, new Set(['example.org']))
    const found = new Map(claims.map(({ message, route, order }) => [message.id, [route, order]]))
    assert.deepEqual(found.get(moved.meta.id), ['mx.example.net:25', 'deliver'])
    assert.deepEqual(found.get(dropped.meta.id), [null, 'drop-silently'])
  })

  test('O2: nodes that start together on an empty database migrate it once', async () => {
    const nodes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => join(name)))
    assert.equal(
      await server.sql('SELECT string_agg(number::text, $$,$$) FROM secure_transport.schema_version', url),
      '1',
    )
    await createSteps(() => nodes[0] ?? assert.fail()).enqueue(['a@example.org'])
  })

  test('O2: a newer schema is lived with when it says so, and refused when it does not', async () => {
    await join('old')
    await server.sql('INSERT INTO secure_transport.schema_version VALUES (9001, 1)', url)
    await join('beside a newer one')
    await server.sql('INSERT INTO secure_transport.schema_version VALUES (9002, 9002)', url)
    await assert.rejects(join('too old'), {
      code: 'store-unavailable',
      message: 'the database has schema 9002, this version knows up to 1',
    })
  })
})
