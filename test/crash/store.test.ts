// kill -9 of a process under load, again and again on the same data: what it was promised must hold.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openTestStore } from '../store/test-store.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { contentOf } from './content.ts'

const ROUNDS = 8
const CHILD = fileURLToPath(new URL('./enqueue-child.ts', import.meta.url))

/** Runs the child until it has said `lines` lines, kills it, and returns all that it said. */
async function runAndKill(dataDirectory: string, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [CHILD, dataDirectory], { stdio: ['ignore', 'pipe', 'pipe'] })
  let trouble = ''
  child.stderr.on('data', (chunk) => {
    trouble += chunk
  })
  const closed = once(child, 'close')
  const said: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(line)
    if (said.length === lines) child.kill('SIGKILL')
  })
  const [, signal] = await closed
  assert.equal(trouble, '')
  assert.equal(signal, 'SIGKILL')
  return said
}

describe('kill -9', () => {
  it('O1: every acknowledged message is there, whole; every settled one is gone; no file is left over', async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'store-crash-'))
    try {
      const said: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        said.push(...(await runAndKill(dataDirectory, 1 + Math.floor(Math.random() * 600))))
      }
      const ids = (word: string): Set<string> =>
        new Set(said.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1)))
      const [accepted, settling, settled] = [ids('accepted'), ids('settling'), ids('settled')]

      const store = await openTestStore({ dataDirectory, clock: createManualClock(Date.now() + 60_000) })
      const found = new Set<string>()
      for (let claims = await store.queue.claim(200, new Set()); claims.length > 0; ) {
        for (const { message, body } of claims) {
          found.add(message.id)
          const octets = Buffer.concat(await Array.fromAsync(store.queue.readBody(message, body)))
          assert.ok(octets.equals(contentOf(message.id)), `${message.id} is whole`)
        }
        claims = await store.queue.claim(200, new Set())
      }
      assert.deepEqual([...accepted.difference(settling).difference(found)], [], 'acknowledged and lost')
      assert.deepEqual([...settled.intersection(found)], [], 'settled and still there')
      const named = [...found].filter((id) => contentOf(id).length > 256 * 1024)
      assert.deepEqual((await store.bodyFiles()).sort(), named.sort())
      assert.deepEqual(
        store.events.filter(({ name }) => name === 'queue.damaged'),
        [],
      )
      assert.ok(accepted.size > 0)
      await store.stop()
    } finally {
      await rm(dataDirectory, { recursive: true })
    }
  })
})
