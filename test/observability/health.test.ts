import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth } from '../../src/observability/health.ts'

test('O5: ready only when every check is, with the reason of the one that is not', () => {
  const health = createHealth()
  assert.deepEqual(health.report(), { ready: false, checks: [] })
  let storeReason: string | null = null
  health.register('store', () => storeReason)
  health.register('scanner', () => null)
  assert.deepEqual(health.report(), {
    ready: true,
    checks: [
      { name: 'store', reason: null },
      { name: 'scanner', reason: null },
    ],
  })
  storeReason = 'disk-low'
  assert.deepEqual(health.report(), {
    ready: false,
    checks: [
      { name: 'store', reason: 'disk-low' },
      { name: 'scanner', reason: null },
    ],
  })
})

test('O5: a check that throws is a check that fails, and tells nothing of why', () => {
  const health = createHealth()
  health.register('store', () => {
    throw new Error('password=secret')
  })
  assert.deepEqual(health.report(), {
    ready: false,
    checks: [{ name: 'store', reason: 'the check itself failed' }],
  })
})
