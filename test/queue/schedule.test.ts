// When to try again.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nextAttemptAt } from '../../src/queue/schedule.ts'
import type { Random } from '../../src/runtime/random.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const PAUSES = { first: 2 * MINUTE, max: 2 * HOUR }
const always = (fraction: number): Random => ({
  bytes: (length) => Buffer.alloc(length),
  fraction: () => fraction,
})

const minutes = (attempts: number, noTls: boolean, fraction: number, lifetime = 120 * HOUR): number =>
  nextAttemptAt({ attempts, now: 1000, expiresAt: 1000 + lifetime, noTls }, always(fraction), PAUSES) /
    MINUTE -
  1000 / MINUTE

describe('schedule', () => {
  it('T7: pauses double from the first to the longest', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8, 500].map((attempts) => minutes(attempts, false, 0.5))
    assert.deepEqual(pauses.map(Math.round), [2, 4, 8, 16, 32, 64, 120, 120, 120])
  })

  it('T7: they vary by 20 % either way', () => {
    assert.deepEqual(
      [0, 0.5, 1].map((fraction) => Math.round(minutes(7, false, fraction))),
      [96, 120, 144],
    )
  })

  it('T1: without an encrypted path the next attempt is three to five minutes away, however many there were', () => {
    assert.deepEqual(
      [1, 5].flatMap((attempts) =>
        [0, 1].map((fraction) => Math.round(minutes(attempts, true, fraction) * 10) / 10),
      ),
      [3.2, 4.8, 3.2, 4.8],
    )
  })

  it('T7: the last attempt is at the end of the lifetime, never later and never in the past', () => {
    assert.equal(minutes(7, false, 0.5, 10 * MINUTE), 10)
    const history = fc.record({
      attempts: fc.integer({ min: 0, max: 10_000 }),
      now: fc.integer({ min: 0, max: 2 ** 45 }),
      lifetime: fc.integer({ min: -HOUR, max: 120 * HOUR }),
      noTls: fc.boolean(),
      fraction: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    })
    fc.assert(
      fc.property(history, ({ lifetime, fraction, ...rest }) => {
        const expiresAt = rest.now + lifetime
        const at = nextAttemptAt({ ...rest, expiresAt }, always(fraction), PAUSES)
        return at >= rest.now && at <= Math.max(rest.now, expiresAt) && Number.isInteger(at)
      }),
      { numRuns: 2000 },
    )
  })
})
