// A short crash soak in every test run: one kill -9 of the whole gateway at each kind of moment. The long one is
// `npm run soak:crash -- --rounds 200`.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, test } from 'node:test'
import { runSoak } from './kill-rounds.ts'
import { KINDS } from './moments.ts'

describe('kill -9 of the gateway under load', () => {
  test('O1: every acknowledged mail arrives whole; what comes twice had its final dot sent; nothing is left over', async (context) => {
    const report = await runSoak({ rounds: KINDS.length, seed: randomInt(2 ** 31) })
    context.diagnostic(JSON.stringify(report))
    const { problems, faults, lost, unexplained, torn, damaged, unexpected, refused } = report
    assert.deepEqual({ problems, faults }, { problems: [], faults: [] })
    assert.deepEqual(
      { lost, unexplained, torn, damaged, unexpected, refused },
      { lost: 0, unexplained: 0, torn: 0, damaged: 0, unexpected: 0, refused: 0 },
    )
    const { queued, spoolFiles, exitCode } = report
    assert.deepEqual({ queued, spoolFiles, exitCode }, { queued: 0, spoolFiles: [], exitCode: 0 })
    assert.equal(report.delivered, report.accepted)
    assert.ok(report.accepted > 0)
    assert.equal(Object.keys(report.kills).length, KINDS.length)
  })
})
