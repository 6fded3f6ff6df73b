// The watch over free space, and the whole store on a file system that really is full.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Claim } from '../../src/queue/message.ts'
import { Fault } from '../../src/runtime/fault.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createDiskGuard } from '../../src/store/sqlite/disk-guard.ts'
import { ballastPath } from '../../src/store/sqlite/layout.ts'
import { sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const MEGABYTE = 1024 ** 2
const LOOKS_MAX = 500
/** Enough for a WAL of 32 MB to be written back and begun anew. */
const BALLAST = 80 * MEGABYTE

/** Lets the guard look until `holds`; each look ends by itself, so this only counts them. */
async function lookUntil(clock: ManualClock, holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds(); looks++) {
    assert.ok(looks < LOOKS_MAX, 'the guard did not come to it')
    await clock.advance(3000)
    await new Promise((resolve) => setTimeout(resolve, 5)) // real I/O is under way
  }
}

async function setUp(settings: { diskReserve?: number; ballast?: number }) {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'disk-guard-test-'))
  const clock = createManualClock()
  const events: string[] = []
  let waitingMs = 0
  const log = {
    event: (name: string, { reason }: { reason?: unknown }) => void events.push([name, reason].join(' ')),
  }
  const guard = createDiskGuard(
    {
      clock,
      random: systemRandom,
      log,
      waitingMs: () => waitingMs,
      makeRoom: async () => {},
      onRecovered: () => events.push('recovered'),
    },
    { dataDirectory, diskReserve: 0, ballast: 0, ...settings },
  )
  return {
    guard,
    clock,
    events,
    path: ballastPath(dataDirectory),
    stall: (ms: number) => {
      waitingMs = ms
    },
    async dispose() {
      await guard.stop()
      assert.equal(clock.pending, 0)
      await rm(dataDirectory, { recursive: true })
    },
  }
}

describe('disk guard', () => {
  it('does not accept below the reserve, and says why', async () => {
    const { guard, events, dispose } = await setUp({ diskReserve: Number.MAX_SAFE_INTEGER })
    await guard.start()
    assert.deepEqual(guard.health(), { accepting: false, reason: 'disk-low' })
    assert.deepEqual(events, ['queue.not-accepting disk-low'])
    await dispose()
    assert.deepEqual(guard.health(), { accepting: false, reason: 'closing' })
  })

  it('after a full disk it accepts again once the ballast could be written', async () => {
    const { guard, clock, events, path, dispose } = await setUp({ ballast: 3 * MEGABYTE + 5 })
    await guard.start()
    assert.deepEqual(guard.health(), { accepting: true, reason: null })
    await lookUntil(clock, () => existsSync(path) && statSync(path).size === 3 * MEGABYTE + 5)
    assert.ok(statSync(path).blocks * 512 >= 3 * MEGABYTE, 'the blocks are real')
    await rm(path)
    guard.noteFull()
    assert.deepEqual(guard.health(), { accepting: false, reason: 'disk-full' })
    await lookUntil(clock, () => guard.health().accepting)
    assert.equal(statSync(path).size, 3 * MEGABYTE + 5)
    assert.deepEqual(events, ['queue.not-accepting disk-full', 'recovered', 'queue.accepting '])
    await dispose()
  })

  it('a store that hangs is away until it answers; a broken one for good', async () => {
    const { guard, clock, stall, dispose } = await setUp({})
    await guard.start()
    stall(20_001)
    await lookUntil(clock, () => guard.health().reason === 'database-away')
    stall(0)
    await lookUntil(clock, () => guard.health().accepting)
    guard.noteBroken()
    assert.deepEqual(guard.health(), { accepting: false, reason: 'database-away' })
    await dispose()
  })
})

/** A small file system of its own, or `null` where this process may not mount one. */
function mountSmall(megabytes: number): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'store-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'store-test', directory], {
      stdio: 'pipe',
    })
    return directory
  } catch {
    return null
  }
}

describe('a full disk', () => {
  const fill = async (store: TestStore, octets: number): Promise<{ claims: Claim[]; fault: unknown }> => {
    const claims: Claim[] = []
    for (;;) {
      const id = store.newId()
      const writer = store.queue.beginBody(id)
      writer.write(randomBytes(octets))
      try {
        const body = await writer.finish()
        const meta = sampleMeta(id, store.clock.now(), octets)
        claims.push(
          ...(await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
            lease: true,
          })),
        )
      } catch (fault) {
        return { claims, fault }
      }
    }
  }

  it('refuses new mail, keeps and drains what is queued, and recovers without a restart', async (context) => {
    const directory = mountSmall(160)
    if (directory === null) return context.skip('no file system can be mounted here')
    const store = await openTestStore({ dataDirectory: directory, settings: { ballast: BALLAST } })
    const ballastIsThere = (): boolean =>
      existsSync(ballastPath(directory)) && statSync(ballastPath(directory)).size === BALLAST
    try {
      await lookUntil(store.clock, ballastIsThere)
      const { claims, fault } = await fill(store, 200_000)
      assert.ok(fault instanceof Fault)
      assert.equal(fault.code, 'store-full')
      assert.deepEqual(store.queue.health(), { accepting: false, reason: 'disk-full' })
      assert.ok(claims.length > 20)
      const again = await fill(store, 10)
      assert.deepEqual(
        [again.claims.length, again.fault instanceof Fault && again.fault.code],
        [0, 'store-full'],
      )

      for (const claim of claims) {
        assert.deepEqual(await store.queue.settle([{ kind: 'done', claim, entries: [], notices: [] }]), [
          'ok',
        ])
      }
      assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 0 })
      await lookUntil(store.clock, () => store.queue.health().accepting)
      assert.ok(ballastIsThere())
      assert.equal((await fill(store, 200_000)).claims.length > 20, true)
      assert.deepEqual(store.faults, [])
    } finally {
      await store.stop()
      execFileSync('umount', [directory])
      await rm(directory, { recursive: true })
    }
  })

  it('a large body that does not fit is refused and leaves no file', async (context) => {
    const directory = mountSmall(24)
    if (directory === null) return context.skip('no file system can be mounted here')
    const store = await openTestStore({ dataDirectory: directory })
    try {
      const { claims, fault } = await fill(store, 5 * MEGABYTE)
      assert.ok(fault instanceof Fault)
      assert.equal(fault.code, 'store-full')
      assert.deepEqual(store.queue.health(), { accepting: false, reason: 'disk-full' })
      await lookUntil(store.clock, () => store.queue.health().accepting)
      assert.equal((await store.bodyFiles()).length, claims.length)
      assert.deepEqual(store.faults, [])
    } finally {
      await store.stop()
      execFileSync('umount', [directory])
      await rm(directory, { recursive: true })
    }
  })
})
