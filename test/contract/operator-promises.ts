// What operators are promised: they see every delivery, and what they order reaches those that they mean.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { DeliveryState } from '../../src/queue/message.ts'
import type { DeliveryFilter } from '../../src/queue/store.ts'
import { testVault } from '../support/test-vault.ts'
import { type ContractStore, createSteps, type OpenStore } from './contract-store.ts'
import { sampleEntry, sampleFailure, sampleMeta } from './sample-message.ts'

const NOBODY: ReadonlySet<string> = new Set()

export function operatorPromises(open: OpenStore): void {
  describe('operators', () => {
    let store: ContractStore
    beforeEach(async () => {
      store = await open(testVault())
    })
    afterEach(() => store.dispose())

    const { enqueue, later, addresses } = createSteps(() => store)

    it('O3: the list shows deliveries by age, page by page, and can be narrowed down', async () => {
      const start = store.clock.now()
      const ids: string[] = []
      for (const address of ['a@example.org', 'b@example.net', 'c@example.org']) {
        await store.clock.advance(1)
        const { claims, message } = await enqueue([address, `x-${address}`], { lease: true })
        ids.push(message.meta.id)
        const [first] = claims
        const state: DeliveryState = {
          attempts: 3,
          lastFailure: sampleFailure,
          noTlsSince: null,
          delayNotified: false,
        }
        if (first) await store.queue.settle([later(first, start + 60_000, state)])
      }
      const all = await store.queue.list({ limit: 100 })
      assert.deepEqual(
        all.map(({ messageId, index }) => `${messageId}:${index}`),
        ids.flatMap((id) => [`${id}:0`, `${id}:1`]),
      )
      assert.deepEqual(all[0], {
        messageId: ids[0],
        index: 0,
        customer: 'Kanzlei Müller',
        reversePath: 'max@example.com',
        forwardPath: 'a@example.org',
        domain: 'example.org',
        sizeBytes: sampleMeta('', 0, 13).sizeBytes,
        acceptedAt: start + 1,
        expiresAt: start + 1 + 120 * 3_600_000,
        attempts: 3,
        nextAttemptAt: start + 60_000,
        status: 'waiting',
        lastFailure: { status: '4.4.2', cause: 'connection-trouble', text: '421 4.4.2 try later' },
      })
      assert.deepEqual([all[1]?.status, all[1]?.nextAttemptAt, all[1]?.lastFailure], ['active', null, null])
      const page = await store.queue.list({ limit: 2, after: `${ids[0]}:1` })
      assert.deepEqual(page, all.slice(2, 4))
      const narrowed = await store.queue.list({ limit: 100, domain: 'example.net' })
      assert.deepEqual(narrowed, all.slice(2, 4))
      assert.deepEqual(await store.queue.list({ limit: 100, customer: 'nobody' }), [])
    })

    it('O3: waiting deliveries can be made due, by message, by domain, or all', async () => {
      const start = store.clock.now()
      const ids: string[] = []
      for (const address of ['a@example.org', 'b@example.net', 'c@example.com']) {
        const { claims, message } = await enqueue([address], { lease: true })
        ids.push(message.meta.id)
        await store.queue.settle(claims.map((claim) => later(claim, start + 3_600_000)))
      }
      assert.equal(await store.queue.retryNow({ messageId: ids[0] ?? '' }), 1)
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['a@example.org'])
      assert.equal(await store.queue.retryNow({ domain: 'example.net' }), 1)
      assert.equal(await store.queue.retryNow({ domain: 'example.edu' }), 0)
      assert.equal(await store.queue.retryNow({}), 1)
      assert.equal((await store.queue.claim(10, NOBODY)).length, 2)
    })

    /** Three messages that wait an hour after a failure, and their ids. */
    const threeWaiting = async (): Promise<string[]> => {
      const ids: string[] = []
      for (const address of ['a@example.org', 'b@example.net', 'c@example.org']) {
        await store.clock.advance(1)
        const { claims, message } = await enqueue([address, `x-${address}`], { lease: true })
        ids.push(message.meta.id)
        const cause = address.startsWith('b') ? ('dns-trouble' as const) : ('connection-trouble' as const)
        const state = {
          attempts: 1,
          lastFailure: { ...sampleFailure, cause },
          noTlsSince: null,
          delayNotified: false,
        }
        const nextAt = store.clock.now() + 3_600_000
        await store.queue.settle(claims.map((claim) => later(claim, nextAt, state)))
      }
      return ids
    }
    const listed = async (filter: DeliveryFilter): Promise<string[]> =>
      (await store.queue.list({ limit: 100, ...filter })).map(({ forwardPath }) => forwardPath)

    it('O3: every condition of a filter narrows down, and all of them must hold', async () => {
      const ids = await threeWaiting()
      const [, second = ''] = ids
      const { acceptedAt = 0 } = (await store.queue.list({ limit: 1, messageId: second }))[0] ?? {}
      const all = [
        'a@example.org',
        'x-a@example.org',
        'b@example.net',
        'x-b@example.net',
        'c@example.org',
        'x-c@example.org',
      ]
      const filters: readonly [DeliveryFilter, string[]][] = [
        [{}, all],
        [{ messageId: second }, all.slice(2, 4)],
        [{ messageId: second, index: 1 }, ['x-b@example.net']],
        [{ index: 0 }, ['a@example.org', 'b@example.net', 'c@example.org']],
        [{ messageId: 'no such message' }, []],
        [{ domain: 'example.net' }, all.slice(2, 4)],
        [{ domain: 'example.net', messageId: ids[0] ?? '' }, []],
        [{ customer: 'Kanzlei Müller' }, all],
        [{ customer: 'somebody else' }, []],
        [{ acceptedBefore: acceptedAt }, all.slice(0, 4)],
        [{ acceptedBefore: acceptedAt - 2 }, []],
        [{ cause: 'dns-trouble' }, all.slice(2, 4)],
        [{ cause: 'dns-trouble', domain: 'example.org' }, []],
        [{ status: 'waiting' }, all],
        [{ status: 'held' }, []],
      ]
      for (const [filter, expected] of filters)
        assert.deepEqual(await listed(filter), expected, JSON.stringify(filter))
      for (const [filter, expected] of filters.filter(([, found]) => found.length < all.length)) {
        assert.equal(await store.queue.hold(filter), expected.length, JSON.stringify(filter))
        assert.deepEqual(await listed({ status: 'held' }), expected, JSON.stringify(filter))
        assert.equal(await store.queue.unhold({}), expected.length)
      }
    })

    it('O3: what is held is not attempted until it is released; what runs is left alone', async () => {
      await threeWaiting()
      const { claims } = await enqueue(['running@example.org'], { lease: true })
      assert.equal(await store.queue.hold({ domain: 'example.org' }), 4)
      assert.equal(await store.queue.hold({ domain: 'example.org' }), 0)
      assert.deepEqual(await store.queue.counts(), { waiting: 2, active: 1, held: 4 })
      assert.deepEqual(
        (await store.queue.list({ limit: 1 })).map(({ status, nextAttemptAt }) => [status, nextAttemptAt]),
        [['held', null]],
      )
      await store.clock.advance(3_600_000)
      assert.equal(await store.queue.retryNow({}), 0)
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['b@example.net', 'x-b@example.net'])
      store = await store.restart()
      assert.equal((await store.queue.counts()).held, 4)
      assert.equal(await store.queue.unhold({ cause: 'connection-trouble' }), 4)
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)).length, 7)
      assert.deepEqual(await store.queue.settle(claims.map((claim) => later(claim, 1))), ['fenced'])
    })

    it('O3: what is dropped comes due with the order to end, even for a destination to be skipped', async () => {
      const [first = '', second = ''] = await threeWaiting()
      await store.queue.hold({ messageId: second })
      assert.equal(await store.queue.drop({ messageId: first, index: 0 }, true), 1)
      assert.equal(await store.queue.drop({ messageId: second }, false), 2)
      const skip = new Set(['example.org', 'example.net'])
      const dropped = await store.queue.claim(10, skip)
      assert.deepEqual(
        dropped.map(({ recipient, order, route }) => [recipient.forwardPath.text, order, route]).sort(),
        [
          ['a@example.org', 'drop', null],
          ['b@example.net', 'drop-silently', null],
          ['x-b@example.net', 'drop-silently', null],
        ],
      )
      await store.queue.release(dropped)
      assert.deepEqual((await store.queue.claim(10, skip)).map(({ order }) => order).sort(), [
        'drop',
        'drop-silently',
        'drop-silently',
      ])
    })

    it('O3: what is moved goes to its route, which is its destination from then on', async () => {
      await threeWaiting()
      await store.queue.hold({ index: 1 })
      assert.equal(await store.queue.move({ domain: 'example.org' }, 'relay.example:2525'), 4)
      assert.deepEqual(await store.queue.counts(), { waiting: 3, active: 0, held: 3 })
      assert.deepEqual(await store.queue.claim(10, new Set(['relay.example:2525'])), [])
      const moved = await store.queue.claim(10, new Set(['example.org']))
      assert.deepEqual(
        moved.map(({ recipient, route, order }) => [recipient.forwardPath.text, route, order]),
        [
          ['a@example.org', 'relay.example:2525', 'deliver'],
          ['c@example.org', 'relay.example:2525', 'deliver'],
        ],
      )
      await store.queue.settle(moved.map((claim) => later(claim, store.clock.now())))
      assert.deepEqual(
        (await store.queue.claim(10, NOBODY)).map(({ route }) => route),
        Array(2).fill('relay.example:2525'),
      )
      assert.equal(await store.queue.move({ status: 'held' }, null), 3)
      await store.queue.unhold({})
      assert.deepEqual(
        (await store.queue.claim(10, NOBODY)).map(({ route }) => route),
        [null, null, null],
      )
    })

    it('O3: a held delivery whose lifetime is over comes due to be failed, and its sender to be told', async () => {
      await threeWaiting()
      await store.queue.hold({ domain: 'example.net' })
      await store.clock.advance(120 * 3_600_000 - 10)
      await store.queue.sweep(1000, { journalMs: 28 * 86_400_000 })
      assert.equal((await store.queue.counts()).held, 2)
      await store.clock.advance(10)
      await store.queue.sweep(1000, { journalMs: 28 * 86_400_000 })
      assert.equal((await store.queue.counts()).held, 0)
      const claims = await store.queue.claim(10, NOBODY)
      assert.deepEqual(claims.map(({ recipient, order }) => [recipient.forwardPath.text, order]).sort(), [
        ['a@example.org', 'deliver'],
        ['b@example.net', 'drop'],
        ['c@example.org', 'deliver'],
        ['x-a@example.org', 'deliver'],
        ['x-b@example.net', 'drop'],
        ['x-c@example.org', 'deliver'],
      ])
    })

    it('O3: thousands are changed at once, and every one of them once', async () => {
      const recipients = Array.from({ length: 700 }, (_, index) => `r${index}@many.example`)
      for (let count = 0; count < 6; count++) await enqueue(recipients)
      await enqueue(['other@example.org'])
      assert.equal(await store.queue.hold({ domain: 'many.example' }), 4200)
      assert.equal((await store.queue.list({ limit: 5000, status: 'held' })).length, 4200)
      assert.equal(await store.queue.drop({ status: 'held' }, false), 4200)
      assert.deepEqual(await store.queue.counts(), { waiting: 4201, active: 0, held: 0 })
      const orders: string[] = []
      for (let claims = await store.queue.claim(1000, NOBODY); claims.length > 0; ) {
        orders.push(...claims.map(({ order }) => order))
        claims = await store.queue.claim(1000, NOBODY)
      }
      assert.deepEqual(
        [orders.length, orders.filter((order) => order === 'drop-silently').length],
        [4201, 4200],
      )
    })

    it('O3: what is dropped is found behind thousands that wait for a destination to be skipped', async () => {
      const { message } = await enqueue(Array.from({ length: 9000 }, (_, index) => `r${index}@dead.example`))
      await store.clock.advance(1)
      assert.equal(await store.queue.drop({ messageId: message.meta.id, index: 8999 }, true), 1)
      const claims = await store.queue.claim(10, new Set(['dead.example']))
      assert.deepEqual(
        claims.map(({ index, order }) => [index, order]),
        [[8999, 'drop']],
      )
    })

    it('O1: a node that runs may send, one that was stopped may not', async () => {
      assert.equal(store.queue.mayStillSend(), true)
      await store.queue.stop()
      assert.equal(store.queue.mayStillSend(), false)
    })

    it('A3: the sweep removes journal entries past their time and keeps the others', async () => {
      const { message } = await enqueue(['a@example.org'])
      await store.clock.advance(28 * 86_400_000)
      await store.journal.append([sampleEntry(message.meta.id, 'deferred', store.clock.now())])
      await store.clock.advance(1)
      const removed = await store.queue.sweep(1000, { journalMs: 28 * 86_400_000 })
      assert.deepEqual(removed, { journalEntries: 1, orphans: 0 })
      assert.deepEqual(
        (await store.journal.trace(message.meta.id)).map(({ kind }) => kind),
        ['deferred'],
      )
      assert.deepEqual(
        await store.journal.between(0, store.clock.now(), 10),
        await store.journal.trace(message.meta.id),
      )
      assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 0, held: 0 })
    })
  })
}
