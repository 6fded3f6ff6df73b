// The database goes away, hangs, or commits without saying so: new mail is refused, nothing that was acknowledged
// is lost, nothing that was refused comes out, and the node recovers by itself.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { createSteps } from '../contract/contract-store.ts'
import { eventually } from '../support/eventually.ts'
import { createFastClock } from '../support/lease-clocks.ts'
import { requirePart } from '../support/parts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { openSharedStore, type SharedStore } from './postgres-store.ts'

const postgres = requirePart('postgres')
const NOBODY: ReadonlySet<string> = new Set()
const LIMIT_MS = 20_000
const MEGABYTE = 1024 * 1024
/** A deadline of 20 s takes one. */
const FACTOR = 20

describe('a database that fails', { skip: postgres.skip }, () => {
  let server: PostgresServer
  let url: string
  let store: SharedStore
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())
  beforeEach(async () => {
    url = await server.createDatabase()
    store = await openSharedStore({ server, url, deps: { leaseClock: createFastClock(FACTOR) } })
  })
  afterEach(async () => {
    await server.resume()
    await store.dispose()
  })

  const { enqueue, compose, accepted, done, later, read } = createSteps(() => store)
  const accepting = (): Promise<true> =>
    eventually('mail is taken again', LIMIT_MS, () => (store.queue.health().accepting ? true : null))
  const count = (table: string): Promise<string> =>
    server.sql(`SELECT count(*) FROM secure_transport.${table}`, url)
  /** Commits wait for a standby that does not exist; with `false` those that wait go through. */
  const hangCommits = async (hang: boolean): Promise<void> => {
    await server.sql(`ALTER SYSTEM SET synchronous_standby_names = '${hang ? 'nobody' : ''}'`)
    await server.sql('SELECT pg_reload_conf()')
    await eventually('the setting', LIMIT_MS, async () => {
      const value = await server.sql('SHOW synchronous_standby_names')
      return value === (hang ? 'nobody' : '') ? true : null
    })
    // Backends read it between two statements; a round of the lease makes all of them have done so.
    await Promise.all(Array.from({ length: 8 }, () => store.queue.counts()))
  }

  test('O1: the database is away: refused at once, results are kept for later, and nothing is lost', async () => {
    const { claims } = await enqueue(['a@example.org', 'b@example.org'], { lease: true })
    const message = await compose(['c@example.org'], Buffer.from('x'))
    const [first, second] = claims
    assert.ok(first && second)
    await server.stop()
    await eventually('it is noticed', LIMIT_MS, () => (store.queue.health().accepting ? null : true))
    assert.deepEqual(store.queue.health(), { accepting: false, reason: 'database-away' })
    const started = performance.now()
    await assert.rejects(store.queue.enqueue(message, accepted(message), { lease: true }), {
      code: 'store-unavailable',
    })
    await assert.rejects(store.queue.settle([done(first)]), { code: 'store-unavailable' })
    await store.queue.release([second])
    assert.ok(performance.now() - started < 5000, 'nobody waits for a database that is away')
    await server.start()
    await accepting()
    assert.deepEqual(await store.queue.settle([done(first)]), ['ok'])
    const [again] = await eventually('what was released', LIMIT_MS, async () => {
      const found = await store.queue.claim(10, NOBODY)
      return found.length > 0 ? found : null
    })
    assert.equal(again?.index, second.index)
    assert.equal(await count('message'), '1')
    await enqueue(['d@example.org'], { lease: true })
    assert.deepEqual(
      store.events.map(({ name }) => name).filter((name) => name.startsWith('queue.')),
      ['queue.not-accepting', 'queue.accepting'],
    )
  })

  test('O1: the server is killed within a thousand commits: what was acknowledged is there', async () => {
    const acknowledged: string[] = []
    let refused = 0
    const produce = async (): Promise<void> => {
      for (let number = 0; number < 60; number++) {
        try {
          const { message } = await enqueue(['a@example.org'], { content: randomBytes(1000) })
          acknowledged.push(message.meta.id)
        } catch {
          refused++
          return
        }
      }
    }
    const producers = Promise.all(Array.from({ length: 20 }, produce))
    await eventually('some are in', LIMIT_MS, () => (acknowledged.length > 100 ? true : null))
    await server.kill()
    await producers
    assert.ok(refused > 0)
    await server.start()
    await accepting()
    const claimed = new Set<string>()
    for (let found = 1; found > 0; ) {
      const claims = await store.queue.claim(500, NOBODY)
      for (const { message } of claims) claimed.add(message.id)
      found = claims.length
    }
    assert.deepEqual(
      acknowledged.filter((id) => !claimed.has(id)),
      [],
    )
  })

  test('O1: nobody knows whether a commit happened: refused, and what did happen is undone', async () => {
    const message = await compose(['a@example.org'], randomBytes(MEGABYTE))
    await hangCommits(true)
    await assert.rejects(store.queue.enqueue(message, accepted(message), { lease: true }), {
      code: 'store-unavailable',
    })
    await eventually('its process on the server is ended', LIMIT_MS, async () => {
      const stuck = `wait_event = 'SyncRep' AND query = 'COMMIT'`
      return (await server.sql(`SELECT count(*) FROM pg_stat_activity WHERE ${stuck}`, url)) === '0'
        ? true
        : null
    })
    await hangCommits(false)
    await accepting()
    await eventually('nothing is left of it', LIMIT_MS, async () => {
      const left = await Promise.all(['message', 'delivery', 'chunk', 'upload', 'event'].map(count))
      return left.every((rows) => rows === '0') ? true : null
    })
    const { claims } = await enqueue(['a@example.org'], { lease: true })
    assert.equal(claims.length, 1)
  })

  test('O1: a commit whose wait for the standby was cancelled counts as failed, although it succeeds', async () => {
    const message = await compose(['a@example.org'], Buffer.from('x'))
    await hangCommits(true)
    const answer = store.queue.enqueue(message, accepted(message), { lease: true })
    answer.catch(() => {}) // looked at below
    await eventually('it waits', LIMIT_MS, async () => {
      const told = await server.sql(
        `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%new_message%'`,
        url,
      )
      return told.includes('t') ? true : null
    })
    await assert.rejects(answer, {
      code: 'store-unavailable',
      message: /canceling wait for synchronous replication/,
    })
    await hangCommits(false)
    await accepting()
    await eventually('nothing is left of it', LIMIT_MS, async () =>
      (await count('message')) === '0' ? true : null,
    )
  })

  test('O1: a claim whose answer never came goes back, and is not stuck until the node ends', async () => {
    await enqueue(['a@example.org'])
    await hangCommits(true)
    await assert.rejects(store.queue.claim(10, NOBODY), { code: 'store-unavailable' })
    await hangCommits(false)
    const [claim] = await eventually('it can be claimed', LIMIT_MS, async () => {
      const found = await store.queue.claim(10, NOBODY).catch(() => [])
      return found.length > 0 ? found : null
    })
    assert.ok(claim)
    assert.equal((await read(claim)).toString(), '\r\nGuten Tag\r\n')
  })

  test('O1: a result whose commit is unknown is settled again, once', async () => {
    const { message, claims } = await enqueue(['a@example.org'], { lease: true })
    const [claim] = claims
    assert.ok(claim)
    const notice = await compose(['max@example.com'], Buffer.from('notice'))
    await hangCommits(true)
    const settlement = done(claim, accepted(message), [notice])
    await assert.rejects(store.queue.settle([settlement]), { code: 'store-unavailable' })
    await hangCommits(false)
    await accepting()
    const result = await eventually('it is settled', LIMIT_MS, () =>
      store.queue.settle([settlement]).catch(() => null),
    )
    assert.ok(['ok', 'fenced'].includes(result[0] ?? ''), String(result))
    await eventually('one notice', LIMIT_MS, async () => ((await count('message')) === '1' ? true : null))
    assert.equal((await store.journal.trace(message.meta.id)).length, 2)
  })

  test('O1: a server that hangs is given up, its mail refused, and used again when it answers', async () => {
    const { claims } = await enqueue(['a@example.org'], { lease: true })
    const message = await compose(['b@example.org'], Buffer.from('x'))
    await server.pause()
    await assert.rejects(store.queue.enqueue(message, accepted(message), { lease: true }), {
      code: 'store-unavailable',
    })
    await eventually('the lease runs out', LIMIT_MS, () => (store.queue.mayStillSend(claims) ? null : true))
    assert.equal(store.queue.health().accepting, false)
    await server.resume()
    await accepting()
    assert.equal(store.queue.mayStillSend(claims), true, 'nobody took anything over meanwhile')
    assert.deepEqual(await store.queue.settle(claims.map((claim) => later(claim, store.clock.now() + 1))), [
      'ok',
    ])
  })

  test('O1: a message whose streamed body is not all there is refused', async () => {
    const message = await compose(['a@example.org'], randomBytes(MEGABYTE))
    await server.sql('DELETE FROM secure_transport.chunk WHERE n = 2', url)
    const whole = await compose(['b@example.org'], randomBytes(MEGABYTE))
    const results = await Promise.allSettled(
      [message, whole].map((one) => store.queue.enqueue(one, accepted(one), { lease: true })),
    )
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    )
    assert.equal(await count('message'), '1')
  })

  test('O1: without a standby that keeps a copy nothing is accepted where one is required', async () => {
    const careful = await openSharedStore({
      server,
      url,
      nodeName: 'careful',
      cluster: { requireSynchronousStandby: true },
    })
    try {
      const message = await compose(['a@example.org'], Buffer.from('x'))
      assert.deepEqual(careful.queue.health(), { accepting: false, reason: 'standby-away' })
      await assert.rejects(careful.queue.enqueue(message, accepted(message), { lease: true }), {
        code: 'store-unavailable',
        message: /secure_transport\.synchronous_standby/,
      })
      assert.equal(await count('message'), '0')
    } finally {
      await careful.dispose()
    }
  })
})
