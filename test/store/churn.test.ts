// Mail that went through leaves nothing: no file, and no space that the next mail does not use again.
// CHURN_MAILS=100000 node --test test/store/churn.test.ts for the long run.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sampleEntry, sampleFailure, sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { openTestStore } from './test-store.ts'

const { CHURN_MAILS } = process.env
const MAILS = Number(CHURN_MAILS ?? 3000)
const PARALLEL = 50
const ROUNDS = 10
const KEEP = { journalMs: 60_000 }

test(`O1: ${MAILS} mails through the queue: no orphan file, no growth`, async () => {
  const store = await openTestStore()
  const small = randomBytes(6000)
  const large = randomBytes(300_000)
  const pass = async (number: number): Promise<void> => {
    const id = store.newId()
    const writer = store.queue.beginBody(id)
    await writer.write(number % 20 === 0 ? large : small)
    if (number % 50 === 7) return writer.abort()
    const body = await writer.finish()
    const meta = sampleMeta(id, store.clock.now(), body.sizeBytes)
    const recipients = ['a@example.org', 'b@example.net'].map(sampleRecipient)
    const entries = [sampleEntry(id, 'accepted', meta.acceptedAt)]
    const [first, second] = await store.queue.enqueue({ meta, recipients, body }, entries, { lease: true })
    assert.ok(first && second)
    const state = { attempts: 1, lastFailure: sampleFailure, noTlsSince: null, delayNotified: false }
    await store.queue.settle([
      { kind: 'done', claim: first, entries: [sampleEntry(id, 'delivered', store.clock.now())], notices: [] },
      { kind: 'later', claim: second, entries: [], notices: [], state, nextAttemptAt: store.clock.now() },
    ])
  }
  const drain = async (): Promise<void> => {
    for (;;) {
      const claims = await store.queue.claim(500, new Set())
      if (claims.length === 0) return
      await store.queue.settle(claims.map((claim) => ({ kind: 'done', claim, entries: [], notices: [] })))
    }
  }
  const sizes: number[] = []
  try {
    for (let round = 0; round < ROUNDS; round++) {
      let left = MAILS / ROUNDS
      const work = async (): Promise<void> => {
        while (left > 0) await pass(left--)
      }
      await Promise.all(Array.from({ length: PARALLEL }, work))
      await drain()
      await store.clock.advance(KEEP.journalMs + 1)
      await store.queue.sweep(10_000, KEEP)
      store.edit('PRAGMA wal_checkpoint(TRUNCATE)')
      sizes.push(statSync(join(store.dataDirectory, 'queue.db')).size)
    }
    assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 0 })
    assert.deepEqual(await store.bodyFiles(), [])
    assert.deepEqual(await store.queue.masterKeyUsage(), [])
    const [, , third = 0] = sizes
    const last = sizes.at(-1) ?? 0
    assert.ok(last <= third * 1.1 + 1024 ** 2, `the database grew: ${sizes.join(' ')}`)
  } finally {
    await store.dispose()
  }
})
