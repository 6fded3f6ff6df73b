// What a store promises about encryption at rest (A4): nothing of a mail lies readable on disk, what was changed
// or cut short is never delivered, and a master key can be replaced while mail waits.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { clearVault } from '../../src/queue/clear-vault.ts'
import type { DeliveryState } from '../../src/queue/message.ts'
import { testVault } from '../support/test-vault.ts'
import { type ContractStore, createSteps, type OpenStore, type StoredPart } from './contract-store.ts'
import { sampleFailure } from './sample-message.ts'

const MEGABYTE = 1024 ** 2
const NOBODY: ReadonlySet<string> = new Set()
const KEEP = { journalMs: 28 * 86_400_000 }

export function sealingPromises(open: OpenStore): void {
  describe('encryption at rest', () => {
    let store: ContractStore
    beforeEach(async () => {
      store = await open(testVault(['old']))
    })
    afterEach(() => store.dispose())

    const { enqueue, read, later, addresses, compose } = createSteps(() => store)
    /** A delivery that waits after a failed attempt. */
    const enqueueDeferred = async (address: string, content?: Uint8Array): Promise<string> => {
      const { message, claims } = await enqueue([address], { lease: true, ...(content ? { content } : {}) })
      const state: DeliveryState = {
        attempts: 1,
        lastFailure: sampleFailure,
        noTlsSince: null,
        delayNotified: false,
      }
      await store.queue.settle(claims.map((claim) => later(claim, store.clock.now(), state)))
      return message.meta.id
    }

    it('A4: no word of header, body, envelope or failure lies readable in the store', async () => {
      const canary = Buffer.from('canary in the body, again and again. '.repeat(10))
      const large = Buffer.alloc(2 * MEGABYTE, canary)
      for (const content of [canary, large]) await enqueueDeferred('canary.recipient@example.org', content)
      const { message } = await enqueue(['canary.recipient@example.org'], { lease: true, content: canary })
      const stored = await store.storedOctets()
      const { localPart = '' } = message.meta.envelope.reversePath ?? {}
      const words = [
        'canary in the body',
        'QQ314159',
        'Subject:',
        'canary.recipient',
        'certificateSha256',
        'mueller-1',
      ]
      assert.notEqual(localPart, '')
      assert.deepEqual(
        words.filter((word) => stored.includes(word)),
        [],
      )
    })

    const parts: readonly StoredPart[] = ['wrapped key', 'envelope', 'recipient', 'state']
    for (const part of parts) {
      it(`A4: one changed bit of the ${part}: put aside, reported, in the journal, its neighbours delivered`, async () => {
        const id = await enqueueDeferred('damaged@example.org')
        await enqueueDeferred('good@example.org')
        await store.damage(id, part)
        assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['good@example.org'])
        assert.deepEqual(store.damages(), ['queue.damaged'])
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 1, held: 1 })
        assert.deepEqual(
          (await store.journal.trace(id)).map(({ kind, facts }) => [kind, facts['cause']]),
          [
            ['accepted', undefined],
            ['held', 'damaged'],
          ],
        )
        const [listed] = await store.queue.list({ limit: 10, messageId: id })
        assert.deepEqual([listed?.status, listed?.domain], ['held', 'example.org'])
      })
    }

    const damages: readonly [string, number, (id: string) => Promise<void>][] = [
      ['changed', 10_000, (id) => store.damage(id, 'body')],
      ['changed', 3 * MEGABYTE, (id) => store.damage(id, 'body')],
      ['cut short', 10_000, (id) => store.truncateBody(id)],
      ['cut short', 3 * MEGABYTE, (id) => store.truncateBody(id)],
    ]
    for (const [what, octets, damage] of damages) {
      it(`A4: a body of ${octets} octets that was ${what} is never read to its end; its delivery is put aside`, async () => {
        const id = await enqueueDeferred('a@example.org', randomBytes(octets))
        await damage(id)
        const [claim] = await store.queue.claim(1, NOBODY)
        assert.ok(claim)
        await assert.rejects(read(claim), { code: 'spool-unreadable' })
        assert.deepEqual(store.damages(), ['queue.damaged'])
        // The worker only knows that the attempt did not succeed.
        assert.deepEqual(await store.queue.settle([later(claim, store.clock.now() + 1)]), ['ok'])
        await store.clock.advance(3_600_000)
        assert.deepEqual(await store.queue.claim(1, NOBODY), [])
        assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 1 })
        assert.deepEqual(
          (await store.journal.trace(id)).map(({ kind }) => kind),
          ['accepted', 'held'],
        )
      })
    }

    it('A4: a body cannot be moved to another message', async () => {
      const ids = [
        await enqueueDeferred('a@example.org', randomBytes(5000)),
        await enqueueDeferred('b@example.org', randomBytes(5000)),
      ]
      await store.swapBodies(ids[0] ?? '', ids[1] ?? '')
      const claims = await store.queue.claim(10, NOBODY)
      assert.equal(claims.length, 2)
      for (const claim of claims) await assert.rejects(read(claim), { code: 'spool-unreadable' })
    })

    it('A4: what nobody can read is held until its lifetime ends, and goes away then', async () => {
      const id = await enqueueDeferred('damaged@example.org', randomBytes(MEGABYTE))
      await store.damage(id, 'envelope')
      await store.queue.claim(10, NOBODY)
      await store.clock.advance(120 * 3_600_000)
      await store.queue.sweep(1000, KEEP)
      assert.deepEqual(await store.queue.claim(10, NOBODY), [])
      assert.deepEqual(store.damages(), ['queue.damaged', 'queue.damaged-dropped'])
      assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 0 })
      assert.deepEqual(await store.bodyFiles(), [])
      assert.deepEqual((await store.journal.trace(id)).at(-1)?.kind, 'dropped')
    })

    it('A4: without its master key mail is put aside, and with it delivered again', async () => {
      const id = await enqueueDeferred('a@example.org')
      store = await store.restart(testVault(['new']))
      assert.deepEqual(await store.queue.claim(10, NOBODY), [])
      assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 1 })
      assert.equal((await store.queue.list({ limit: 1 }))[0]?.messageId, id)
      store = await store.restart(testVault(['new', 'old']))
      assert.equal(await store.queue.unhold({}), 1)
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['a@example.org'])
    })

    it('A4: a new master key takes over step by step, and the old one is needed no more', async () => {
      for (let count = 0; count < 250; count++) await enqueue([`r${count}@example.org`])
      await enqueueDeferred('large@example.org', randomBytes(MEGABYTE))
      assert.deepEqual(await store.queue.masterKeyUsage(), [{ id: 'old', messages: 251 }])
      store = await store.restart(testVault(['new', 'old']))
      await enqueue(['fresh@example.org'])
      assert.deepEqual(await store.queue.masterKeyUsage(), [
        { id: 'new', messages: 1 },
        { id: 'old', messages: 251 },
      ])
      const held = await store.queue.claim(1, NOBODY)
      await store.queue.sweep(60_000, KEEP)
      assert.deepEqual(await store.queue.masterKeyUsage(), [{ id: 'new', messages: 252 }])
      // What was claimed before is settled after, under the same message key.
      const state: DeliveryState = {
        attempts: 7,
        lastFailure: sampleFailure,
        noTlsSince: null,
        delayNotified: true,
      }
      await store.queue.settle(held.map((claim) => later(claim, store.clock.now(), state)))
      store = await store.restart(testVault(['new']))
      const claims = await store.queue.claim(1000, NOBODY)
      assert.equal(claims.length, 252)
      assert.equal(claims.filter((claim) => claim.state.attempts === 7).length, 1)
      const large = claims.find((claim) => claim.recipient.forwardPath.text === 'large@example.org')
      assert.equal(large === undefined ? 0 : (await read(large)).length, MEGABYTE)
    })

    it('A4: a damaged message key does not keep the others from their new master key', async () => {
      const damaged = await enqueueDeferred('damaged@example.org')
      for (let count = 0; count < 3; count++) await enqueue([`r${count}@example.org`])
      await store.damage(damaged, 'wrapped key')
      store = await store.restart(testVault(['new', 'old']))
      await store.queue.sweep(1000, KEEP)
      await store.queue.sweep(1000, KEEP)
      assert.deepEqual(await store.queue.masterKeyUsage(), [
        { id: 'new', messages: 3 },
        { id: 'old', messages: 1 },
      ])
    })

    it('A4: mail that was queued unencrypted is delivered after encryption was switched on, unless told not to', async () => {
      store = await store.restart(clearVault)
      const content = randomBytes(MEGABYTE)
      await enqueueDeferred('a@example.org', content)
      await enqueueDeferred('b@example.org')
      assert.deepEqual(await store.queue.masterKeyUsage(), [{ id: '', messages: 2 }])
      store = await store.restart(testVault(['one']))
      await enqueueDeferred('c@example.org')
      assert.deepEqual(await store.queue.masterKeyUsage(), [
        { id: '', messages: 2 },
        { id: 'one', messages: 1 },
      ])
      const claims = await store.queue.claim(10, NOBODY)
      assert.deepEqual(addresses(claims).sort(), ['a@example.org', 'b@example.org', 'c@example.org'])
      const large = claims.find(({ body }) => body.sizeBytes === MEGABYTE)
      assert.ok(large && (await read(large)).equals(content))
      assert.ok(claims.every(({ state }) => state.lastFailure?.cause === 'connection-trouble'))
      await store.queue.settle(
        claims.map((claim) => later(claim, store.clock.now(), { ...claim.state, attempts: 2 })),
      )
      store = await store.restart(testVault(['one'], false))
      assert.deepEqual(addresses(await store.queue.claim(10, NOBODY)), ['c@example.org'])
      assert.deepEqual(store.damages(), ['queue.damaged', 'queue.damaged'])
    })

    it('A4: notices are encrypted like any mail', async () => {
      const { claims } = await enqueue(['a@example.org'], { lease: true })
      const notice = await compose(['max@example.com'], Buffer.from('canary in a notice'))
      await store.queue.settle(
        claims.map((claim) => ({ kind: 'done', claim, entries: [], notices: [notice] })),
      )
      assert.equal((await store.storedOctets()).includes('canary in a notice'), false)
      const [claim] = await store.queue.claim(1, NOBODY)
      assert.equal(claim === undefined ? '' : (await read(claim)).toString(), 'canary in a notice')
    })
  })
}
