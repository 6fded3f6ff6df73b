// What the benchmark computes from its measurements.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compare, median } from '../../bench/report.ts'
import type { Figures } from '../../bench/round.ts'

const figures = (cpuMsPerMessage: number, rate: number): Figures => ({
  ...{ cpuMsPerMessage, acceptedPerSecond: rate, deliveredPerSecond: rate / 2, peakMemoryMb: 100 },
})

test('the median is the middle value, or the mean of the two in the middle', () => {
  assert.equal(median([3, 1, 20]), 3)
  assert.equal(median([4, 1, 3, 20]), 3.5)
  assert.equal(median([7]), 7)
})

test('ratios are taken within each round before the median, so that a slow round does not mix with a fast one', () => {
  const ours = [figures(1, 100), figures(4, 400), figures(2, 300)]
  const peer = [figures(2, 50), figures(5, 100), figures(8, 100)]
  assert.deepEqual(compare('W1', ours, peer), {
    workload: 'W1',
    ours: figures(2, 300),
    peer: figures(5, 100),
    ratio: { cpuMsPerMessage: 0.5, acceptedPerSecond: 3, deliveredPerSecond: 3, peakMemoryMb: 1 },
  })
})

test('without a peer there is no ratio', () => {
  const alone = { workload: 'W3', ours: figures(1, 2), peer: null, ratio: null }
  assert.deepEqual(compare('W3', [figures(1, 2)], []), alone)
})
