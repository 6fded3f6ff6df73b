// The CPU of a server whose processes come and go must not be lost: Postfix would look cheaper than it is.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { cpuMs, memoryMb } from '../../bench/process-tree.ts'

const BURN_MS = 300
const TICK_MS = 10
const burn = `while (process.cpuUsage().user < ${BURN_MS * 1000});`
const parent = `require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(burn)}]);
  process.stdout.write('done'); process.stdin.resume()`

const skip = existsSync('/proc/self/smaps_rollup') ? false : 'needs /proc of Linux'

test('the CPU of a child that has ended counts to the tree, and memory is that of those who live', {
  skip,
}, async (t) => {
  const child = spawn(process.execPath, ['-e', parent], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const pid = child.pid ?? -1
  assert.ok(cpuMs([pid]) >= BURN_MS - TICK_MS, `${cpuMs([pid])} ms`)
  assert.ok(memoryMb([pid]) > 1)
  child.stdin.end()
  await once(child, 'exit')
  assert.equal(memoryMb([pid]), 0)
})
