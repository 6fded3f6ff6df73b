// The primary is lost and its synchronous standby promoted, under load: no acknowledged mail is lost, and the new
// primary, which is alone, is not trusted with new mail until it has a standby of its own.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createSteps } from '../contract/contract-store.ts'
import { eventually } from '../support/eventually.ts'
import { createFastClock } from '../support/lease-clocks.ts'
import { requirePart } from '../support/parts.ts'
import { type PostgresPair, startPostgresPair } from '../support/postgres.ts'
import { openSharedStore } from './postgres-store.ts'

const postgres = requirePart('postgres')
const NOBODY: ReadonlySet<string> = new Set()
const LIMIT_MS = 30_000

describe('fail-over', { skip: postgres.skip }, () => {
  let pair: PostgresPair
  before(async () => {
    pair = await startPostgresPair()
  })
  after(() => pair.dispose())

  test('O1: the primary is killed under load, the standby promoted: nothing acknowledged is lost', async () => {
    const url = await pair.createDatabase()
    const store = await openSharedStore({
      server: pair.standby,
      url,
      deps: { leaseClock: createFastClock(10) },
      cluster: { requireSynchronousStandby: true },
    })
    try {
      const { enqueue, done } = createSteps(() => store)
      assert.deepEqual(store.queue.health(), { accepting: true, reason: null })
      const { claims } = await enqueue(['held@example.org'], { lease: true })
      const acknowledged = new Map<string, Buffer>()
      const produce = async (): Promise<void> => {
        for (;;) {
          const content = randomBytes(500)
          try {
            const { message } = await enqueue(['a@example.org'], { content })
            acknowledged.set(message.meta.id, content)
          } catch {
            return
          }
        }
      }
      const producers = Promise.all(Array.from({ length: 10 }, produce))
      await eventually('some are in', LIMIT_MS, () => (acknowledged.size > 200 ? true : null))
      await pair.primary.kill()
      await producers
      await eventually('nothing more is accepted', LIMIT_MS, () =>
        store.queue.health().accepting ? null : true,
      )
      await pair.standby.promote()

      await eventually('the new primary is found', LIMIT_MS, () =>
        store.queue.health().reason === 'standby-away' ? true : null,
      )
      await assert.rejects(enqueue(['b@example.org']), { code: 'store-unavailable' })
      const results = await eventually('it takes results', LIMIT_MS, () =>
        store.queue.settle(claims.map((claim) => done(claim))).catch(() => null),
      )
      assert.deepEqual(results, ['ok'], 'a delivery that ran meanwhile is still ours')
      const found = new Map<string, Buffer>()
      for (let more = true; more; ) {
        const due = await store.queue.claim(500, NOBODY)
        for (const claim of due) {
          found.set(
            claim.message.id,
            Buffer.concat(await Array.fromAsync(store.queue.readBody(claim.message, claim.body))),
          )
        }
        more = due.length > 0
      }
      const missing = [...acknowledged].filter(([id, content]) => found.get(id)?.equals(content) !== true)
      assert.deepEqual(
        missing.map(([id]) => id),
        [],
      )
    } finally {
      await store.dispose()
    }
  })
})
