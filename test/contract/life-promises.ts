// What the queue promises about the life of a delivery: accepted, claimed, settled, gone.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { DeliveryState, NewMessage } from '../../src/queue/message.ts'
import { testVault } from '../support/test-vault.ts'
import { type ContractStore, createSteps, type OpenStore } from './contract-store.ts'
import { sampleEntry, sampleFailure, sampleMeta, sampleRecipient } from './sample-message.ts'

const KILOBYTE = 1024
const MEGABYTE = 1024 * KILOBYTE
const NOBODY: ReadonlySet<string> = new Set()

export function lifePromises(open: OpenStore): void {
  describe('life of a delivery', () => {
    let store: ContractStore
    beforeEach(async () => {
      store = await open(testVault())
    })
    afterEach(() => store.dispose())

    const { compose, accepted, enqueue, read, done, later, addresses } = createSteps(() => store)

    describe('enqueue', () => {
      it('O1: an acknowledged message is there after a restart, octet for octet, due at once', async () => {
        const contents = [Buffer.alloc(0), randomBytes(10 * KILOBYTE), randomBytes(2 * MEGABYTE)]
        const messages: NewMessage[] = []
        for (const content of contents)
          messages.push((await enqueue(['a@example.org'], { lease: true, content })).message)
        store = await store.restart()
        const claims = await store.queue.claim(10, NOBODY)
        const byId = new Map(claims.map((claim) => [claim.message.id, claim]))
        for (const [index, { meta, recipients }] of messages.entries()) {
          const claim = byId.get(meta.id)
          assert.ok(claim)
          assert.deepEqual({ ...claim.message, header: Buffer.from(claim.message.header) }, meta)
          assert.deepEqual(claim.recipient, recipients[0])
          assert.deepEqual(claim.state, {
            attempts: 0,
            lastFailure: null,
            noTlsSince: null,
            delayNotified: false,
          })
          assert.deepEqual(await read(claim), contents[index])
        }
        const story = await store.journal.trace(messages[0]?.meta.id ?? '')
        assert.deepEqual(story, messages[0] ? accepted(messages[0]) : [])
      })

      it('T8: leased deliveries are claimed at birth and nobody else gets them', async () => {
        const { message, claims } = await enqueue(['a@example.org', 'b@example.net'], { lease: true })
        assert.deepEqual(
          claims.map(({ message: meta, index, recipient, token }) => ({ meta, index, recipient, token })),
          message.recipients.map((recipient, index) => ({ meta: message.meta, index, recipient, token: 1 })),
        )
        assert.deepEqual(await store.queue.claim(10, NOBODY), [])
        assert.equal(await store.queue.nextDue(), null)
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 2, held: 0 })
      })

      it('without a lease the deliveries wait, due now, and no claim is given', async () => {
        const { claims } = await enqueue(['a@example.org'])
        assert.deepEqual(claims, [])
        assert.equal(await store.queue.nextDue(), store.clock.now())
        assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['a@example.org'])
      })

      it('100 producers at once: all stored; the one whose request is bad sinks nobody', async () => {
        const first = await enqueue(['first@example.org'])
        const messages = await Promise.all(
          Array.from({ length: 100 }, (_, index) =>
            compose([`r${index}@example.org`], randomBytes(KILOBYTE)),
          ),
        )
        const bad: NewMessage = { ...first.message, recipients: [sampleRecipient('twice@example.org')] }
        messages.splice(50, 0, bad)
        const results = await Promise.allSettled(
          messages.map((message) => store.queue.enqueue(message, accepted(message), { lease: true })),
        )
        const rejected = results.flatMap((result, index) => (result.status === 'rejected' ? [index] : []))
        assert.deepEqual(rejected, [50])
        assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 100, held: 0 })
        assert.equal((await store.journal.trace(first.message.meta.id)).length, 1)
      })

      it('a rejected message leaves nothing, not even the place of its body', async () => {
        const { message: first } = await enqueue(['a@example.org'])
        const writer = store.queue.beginBody(first.meta.id)
        writer.write(randomBytes(MEGABYTE))
        const second: NewMessage = { ...first, body: await writer.finish() }
        assert.deepEqual(await store.bodyFiles(), [first.meta.id])
        await assert.rejects(store.queue.enqueue(second, accepted(second), { lease: true }), {
          code: 'internal',
        })
        store = await store.restart()
        assert.deepEqual(await store.bodyFiles(), [])
        assert.deepEqual(await store.journal.trace(first.meta.id), accepted(first))
        const [claim] = await store.queue.claim(10, NOBODY)
        assert.ok(claim)
        assert.equal((await read(claim)).toString(), '\r\nGuten Tag\r\n')
      })
    })

    describe('bodies', () => {
      it('A4: an aborted body leaves nothing behind, small or large', async () => {
        for (const octets of [KILOBYTE, 3 * MEGABYTE]) {
          const writer = store.queue.beginBody(store.newId())
          for (let sent = 0; sent < octets; sent += 64 * KILOBYTE) {
            const wait = writer.write(randomBytes(64 * KILOBYTE))
            if (wait !== null) await wait
          }
          writer.abort()
          writer.abort()
        }
        store = await store.restart()
        assert.deepEqual(await store.bodyFiles(), [])
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 0 })
      })

      it('a writer that is not waited for gets all octets into the store, in order', async () => {
        const id = store.newId()
        const writer = store.queue.beginBody(id)
        const chunks = Array.from({ length: 700 }, (_, index) => Buffer.alloc(16 * KILOBYTE, index % 251))
        const waits = chunks.map((chunk) => writer.write(chunk))
        assert.ok(
          waits.some((wait) => wait !== null),
          'back-pressure was asked for',
        )
        const body = await writer.finish()
        assert.equal(body.sizeBytes, 700 * 16 * KILOBYTE)
        const meta = sampleMeta(id, store.clock.now(), body.sizeBytes)
        await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
          lease: false,
        })
        const [claim] = await store.queue.claim(1, NOBODY)
        assert.ok(claim)
        assert.ok((await read(claim)).equals(Buffer.concat(chunks)))
      })

      it('A3: the last delivery takes message and body along, not an earlier one', async () => {
        const { claims } = await enqueue(['a@example.org', 'b@example.org'], {
          lease: true,
          content: randomBytes(MEGABYTE),
        })
        const [first, second] = claims
        assert.ok(first && second)
        assert.deepEqual(await store.bodyFiles(), [first.message.id])
        assert.deepEqual(await store.queue.settle([done(first)]), ['ok'])
        assert.deepEqual(await store.bodyFiles(), [first.message.id])
        assert.deepEqual(await store.queue.settle([done(second)]), ['ok'])
        assert.deepEqual(await store.bodyFiles(), [])
        assert.deepEqual(await store.queue.list({ limit: 10 }), [])
        // The id is free again: nothing of the message is left.
        const again = { meta: first.message, recipients: [first.recipient], body: { ...first.body } }
        const inline = { ...again, body: { sizeBytes: 1, inMemory: [Buffer.from('x')], location: 'inline' } }
        await store.queue.enqueue(inline, [], { lease: false })
      })
    })

    describe('claim', () => {
      it('T7: oldest due first, none before its time, none for a domain to skip', async () => {
        const plan = [
          ['late@example.org', 3000],
          ['early@example.org', 1000],
          ['skipped@example.net', 500],
          ['middle@example.com', 2000],
          ['future@example.org', 9000],
        ] as const
        const start = store.clock.now()
        for (const [address, delay] of plan) {
          const { claims } = await enqueue([address], { lease: true })
          await store.queue.settle(claims.map((claim) => later(claim, start + delay)))
        }
        assert.equal(await store.queue.nextDue(), start + 500)
        assert.deepEqual(await store.queue.claim(10, NOBODY), [])
        await store.clock.advance(5000)
        const skip = new Set(['example.net'])
        assert.deepEqual(addresses(await store.queue.claim(2, skip)), [
          'early@example.org',
          'middle@example.com',
        ])
        assert.deepEqual(addresses(await store.queue.claim(10, skip)), ['late@example.org'])
        assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['skipped@example.net'])
        assert.equal(await store.queue.nextDue(), start + 9000)
      })

      it('T7: thousands of due deliveries for a skipped domain hide nobody behind them', async () => {
        await enqueue(Array.from({ length: 9000 }, (_, index) => `r${index}@dead.example`))
        await store.clock.advance(1)
        await enqueue(['a@alive.example'])
        await enqueue(['b@other.example'])
        const found = await store.queue.claim(5, new Set(['dead.example']))
        assert.deepEqual(addresses(found).sort(), ['a@alive.example', 'b@other.example'])
        assert.deepEqual(await store.queue.claim(5, new Set(['dead.example'])), [])
        assert.equal((await store.queue.claim(200, NOBODY)).length, 200)
      })

      it('each claim has a new token, and the count of attempts is left to the results', async () => {
        await enqueue(['a@example.org'])
        for (const token of [1, 2, 3]) {
          const claims = await store.queue.claim(1, NOBODY)
          assert.deepEqual(
            claims.map((claim) => [claim.token, claim.state.attempts]),
            [[token, 0]],
          )
          await store.queue.release(claims)
        }
      })
    })

    describe('settle', () => {
      it('T7: a deferred delivery comes back at its time with the state it was given', async () => {
        const { claims } = await enqueue(['a@example.org'], { lease: true })
        const [claim] = claims
        assert.ok(claim)
        const now = store.clock.now()
        const state: DeliveryState = {
          attempts: 1,
          lastFailure: sampleFailure,
          noTlsSince: now,
          delayNotified: true,
        }
        assert.deepEqual(await store.queue.settle([later(claim, now + 60_000, state)]), ['ok'])
        store = await store.restart()
        assert.equal(await store.queue.nextDue(), now + 60_000)
        await store.clock.advance(60_000)
        const [again] = await store.queue.claim(1, NOBODY)
        assert.deepEqual(again?.state, state)
      })

      it('O1: a result counts only while owner and token still match; a late one writes nothing', async () => {
        const { claims } = await enqueue(['a@example.org'], { lease: true })
        const [old] = claims
        assert.ok(old)
        await store.queue.release([old])
        const [current] = await store.queue.claim(1, NOBODY)
        assert.ok(current)
        const notice = await compose(['max@example.com'], Buffer.from('notice'))
        const entry = sampleEntry(old.message.id, 'delivered', store.clock.now())
        const late = done(old, [entry], [notice])
        const postponed = later(old, store.clock.now() + 1)
        assert.deepEqual(await store.queue.settle([late, postponed]), ['fenced', 'fenced'])
        assert.equal((await store.journal.trace(old.message.id)).length, 1)
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 1, held: 0 })
        assert.deepEqual(await store.queue.settle([done(current), done(current)]), ['ok', 'fenced'])
      })

      it('O1: a result of a former run is fenced', async () => {
        const { claims } = await enqueue(['a@example.org'], { lease: true })
        const [old] = claims
        assert.ok(old)
        store = await store.restart()
        assert.deepEqual(await store.queue.settle([done(old)]), ['fenced'])
        await store.queue.release([old])
        assert.deepEqual(addresses(await store.queue.claim(1, NOBODY)), ['a@example.org'])
        assert.deepEqual(await store.queue.settle([done(old)]), ['fenced'])
      })

      it('N1: result, notice and journal entry are one: stored together or not at all', async () => {
        const { message, claims } = await enqueue(['a@example.org'], { lease: true })
        const [claim] = claims
        assert.ok(claim)
        const { id } = message.meta
        const entry = sampleEntry(id, 'failed', store.clock.now())
        const good = await compose(['max@example.com'], Buffer.from('notice'))
        // The same notice twice cannot be stored.
        await assert.rejects(store.queue.settle([done(claim, [entry], [good, good])]), { code: 'internal' })
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 1, held: 0 })
        assert.equal((await store.journal.trace(id)).length, 1)

        assert.deepEqual(await store.queue.settle([done(claim, [entry], [good])]), ['ok'])
        const [notice] = await store.queue.claim(10, NOBODY)
        assert.ok(notice)
        assert.equal(notice.message.id, good.meta.id)
        assert.equal((await read(notice)).toString(), 'notice')
        assert.deepEqual(
          (await store.journal.trace(id)).map(({ kind }) => kind),
          ['accepted', 'failed'],
        )
      })
    })

    it('O2: a stopped store accepts nothing, says so, and has kept what it had', async () => {
      assert.deepEqual(store.queue.health(), { accepting: true, reason: null })
      const message = await compose(['a@example.org'], Buffer.from('x'))
      const kept = enqueue(['kept@example.org'])
      await kept
      await store.queue.stop()
      assert.deepEqual(store.queue.health(), { accepting: false, reason: 'closing' })
      await assert.rejects(store.queue.enqueue(message, [], { lease: false }), { code: 'store-unavailable' })
      store = await store.restart()
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['kept@example.org'])
    })
  })
}
