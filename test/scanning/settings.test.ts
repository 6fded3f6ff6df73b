import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseScannerAddress, scannerSettings } from '../../src/scanning/settings.ts'

const valid = {
  'unix:/run/clamav/clamd.ctl': { kind: 'unix', path: '/run/clamav/clamd.ctl' },
  '127.0.0.1:3310': { kind: 'tcp', host: '127.0.0.1', port: 3310 },
  'clamd.example.org:3310': { kind: 'tcp', host: 'clamd.example.org', port: 3310 },
  '[::1]:3310': { kind: 'tcp', host: '::1', port: 3310 },
} as const

const invalid = [
  '',
  'unix:',
  'unix:relative',
  '/run/clamd.ctl',
  'localhost',
  '127.0.0.1:0',
  '127.0.0.1:65536',
  '::1:3310',
]

for (const [text, expected] of Object.entries(valid)) {
  test(`M1: scanner address ${text} is understood`, () => {
    assert.deepEqual(parseScannerAddress(text), { ...expected, text })
  })
}

for (const text of invalid) {
  test(`M1: scanner address "${text}" is refused`, () => {
    assert.equal(parseScannerAddress(text), null)
    assert.equal(scannerSettings.safeParse({ address: text }).success, false)
  })
}

test('M1: without settings clamd is asked at its usual socket, and a list keeps its order', () => {
  assert.deepEqual(scannerSettings.parse({}), {
    kind: 'clamd',
    address: [{ kind: 'unix', path: '/run/clamav/clamd.ctl', text: 'unix:/run/clamav/clamd.ctl' }],
    connectTimeout: 5000,
    verdictTimeout: 120_000,
    concurrency: 4,
  })
  const two = scannerSettings.parse({ address: ['127.0.0.1:2', 'unix:/b'] })
  assert.deepEqual(
    two.address.map((address) => address.text),
    ['127.0.0.1:2', 'unix:/b'],
  )
})
