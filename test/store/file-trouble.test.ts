// Trouble with files that is not a full disk: too many open files, a file system that became read-only. New mail
// is refused before anything is promised, what is queued stays, and the node recovers by itself.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { spoolPath } from '../../src/store/sqlite/layout.ts'
import { sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const MEGABYTE = 1024 ** 2
const EMFILE_CHILD = fileURLToPath(new URL('./emfile-child.ts', import.meta.url))

const mount = (...args: string[]): boolean => {
  try {
    execFileSync('mount', args, { stdio: 'pipe' })
    return true
  } catch {
    return false // not as this user, or not in this container
  }
}

const send = async (store: TestStore, octets: number): Promise<void> => {
  const id = store.newId()
  const writer = store.queue.beginBody(id)
  await writer.write(Buffer.alloc(octets, 'x'))
  const body = await writer.finish()
  const meta = sampleMeta(id, store.clock.now(), octets)
  await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
    lease: false,
  })
}

describe('trouble with files', () => {
  it('O5: too many open files: large mail is refused for now, small mail and the queue go on', () => {
    const command = `ulimit -n 96; exec "$0" "$1"`
    const output = execFileSync('sh', ['-c', command, process.execPath, EMFILE_CHILD], { encoding: 'utf8' })
    assert.deepEqual(JSON.parse(output), [
      'accepted',
      'store-unavailable: a body could not be written: EMFILE',
      'spool-unwritable',
      'accepted',
      null,
      'accepted',
      { waiting: 3, active: 0, held: 0 },
      0,
      2,
    ])
  })

  it('O5: bodies on a file system that became read-only: refused, kept, and taken again when it is writable', async (context) => {
    const store = await openTestStore()
    const spool = spoolPath(store.dataDirectory)
    await mkdir(spool, { recursive: true })
    let mounted = mount('--bind', spool, spool)
    try {
      if (!mounted) return context.skip('no file system can be mounted here')
      await send(store, MEGABYTE)
      assert.ok(mount('-o', 'remount,bind,ro', spool))
      await assert.rejects(send(store, MEGABYTE), { code: 'store-unavailable' })
      assert.deepEqual(store.queue.health(), { accepting: false, reason: 'spool-unwritable' })
      await store.clock.advance(3000)
      assert.equal(store.queue.health().accepting, false)
      const [claim] = await store.queue.claim(1, new Set())
      assert.ok(claim)
      const octets = Buffer.concat(await Array.fromAsync(store.queue.readBody(claim.message, claim.body)))
      assert.equal(octets.length, MEGABYTE)
      execFileSync('umount', [spool])
      mounted = false
      for (let looks = 0; !store.queue.health().accepting; looks++) {
        assert.ok(looks < 500, 'the guard did not come to it')
        await store.clock.advance(3000)
        await new Promise((resolve) => setTimeout(resolve, 5)) // real I/O is under way
      }
      await send(store, MEGABYTE)
      assert.deepEqual(store.faults, [])
      assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 1, held: 0 })
    } finally {
      if (mounted) execFileSync('umount', ['-l', spool])
      await store.dispose()
    }
  })

  it('O5: a data directory on a read-only file system is refused at the start, in words', async (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'store-read-only-'))
    if (!mount('-t', 'tmpfs', '-o', 'size=16m', 'store-test', directory)) {
      await rm(directory, { recursive: true })
      return context.skip('no file system can be mounted here')
    }
    try {
      const store = await openTestStore({ dataDirectory: directory })
      await send(store, 100)
      await store.stop()
      mount('-o', 'remount,ro', directory)
      await assert.rejects(openTestStore({ dataDirectory: directory }), { code: 'store-unavailable' })
      mount('-o', 'remount,rw', directory)
      const again = await openTestStore({ dataDirectory: directory })
      assert.equal((await again.queue.counts()).waiting, 1)
      await again.stop()
    } finally {
      execFileSync('umount', [directory])
      await rm(directory, { recursive: true })
    }
  })
})

describe('a directory of another user', () => {
  it('is refused at the start', { skip: process.getuid?.() === 0 }, async () => {
    const parent = await mkdtemp(join(tmpdir(), 'store-foreign-'))
    const dataDirectory = join(parent, 'data')
    await mkdir(dataDirectory, { mode: 0o500 })
    await assert.rejects(openTestStore({ dataDirectory }), { code: 'store-unavailable' })
    await rm(parent, { recursive: true })
  })
})
