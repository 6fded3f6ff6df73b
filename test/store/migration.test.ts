// A queue that the former version left (schema 1, nothing encrypted) opens, and all of it is delivered.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { MessageMeta } from '../../src/queue/message.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { bodyPath, queuePath } from '../../src/store/sqlite/layout.ts'
import { sampleFailure, sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { testVault } from '../support/test-vault.ts'
import { openTestStore } from './test-store.ts'

const SCHEMA_1 = new URL('../../src/store/migrations/sqlite/queue/0001-queue.sql', import.meta.url)
const NOBODY: ReadonlySet<string> = new Set()

interface OldDelivery {
  readonly owner?: number
  readonly held?: string
  readonly deferred?: boolean
}

/** Writes rows as version 0.1 did. */
function openSchema1(dataDirectory: string) {
  const database = new DatabaseSync(queuePath(dataDirectory))
  database.exec(readFileSync(SCHEMA_1, 'utf8'))
  database.exec('PRAGMA user_version = 1; INSERT INTO incarnation (id, started_at) VALUES (7, 0)')
  const message = database.prepare(
    `INSERT INTO message (id, customer, reverse_path, size_bytes, accepted_at, expires_at, location, body_bytes, meta,
       header) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
  )
  const body = database.prepare('INSERT INTO body (message, octets) VALUES (?, ?)')
  const delivery = database.prepare(
    `INSERT INTO delivery (message, position, domain, forward_path, recipient, next_at, owner, token, attempts, state,
       held) VALUES (?, 0, ?, ?, ?, ?, ?, 1, ?, ?, ?)`,
  )
  return {
    add(
      meta: MessageMeta,
      octets: Uint8Array,
      address: string,
      { owner, held, deferred = false }: OldDelivery,
    ) {
      const recipient = sampleRecipient(address)
      const isInline = octets.length <= 256 * 1024
      const { seq = 0 } =
        message.get(
          meta.id,
          meta.customer,
          meta.envelope.reversePath?.text ?? '',
          meta.sizeBytes,
          meta.acceptedAt,
          meta.expiresAt,
          isInline ? 'inline' : 'file',
          octets.length,
          JSON.stringify({ ...meta, header: undefined }),
          meta.header,
        ) ?? {}
      if (isInline) body.run(seq, octets)
      else {
        mkdirSync(dirname(bodyPath(dataDirectory, meta.id)), { recursive: true })
        writeFileSync(bodyPath(dataDirectory, meta.id), octets)
      }
      const state = { attempts: 2, lastFailure: sampleFailure, noTlsSince: null, delayNotified: true }
      delivery.run(
        seq,
        recipient.forwardPath.domain,
        address,
        JSON.stringify(recipient),
        meta.acceptedAt,
        owner ?? null,
        deferred ? 2 : 0,
        deferred ? JSON.stringify(state) : null,
        held ?? null,
      )
    },
    close: () => database.close(),
  }
}

test('O2, A4: what schema 1 left is listed, held, delivered and re-tried, encrypted from now on or not', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'store-migration-'))
  const clock = createManualClock()
  const newId = createIdSource(clock, systemRandom)
  const old = openSchema1(dataDirectory)
  const eightBit = Buffer.from('Subject: Gr\xfc\xdfe\r\nFrom: max@example.com\r\n', 'latin1')
  const deliveries: readonly [string, number, OldDelivery][] = [
    ['fresh@example.org', 1000, {}],
    ['large@example.org', 2_000_000, {}],
    ['running@example.org', 10, { owner: 7 }],
    ['deferred@example.org', 0, { deferred: true }],
    ['held@example.org', 10, { held: 'message unreadable', deferred: true }],
  ]
  const written = new Map<string, { meta: MessageMeta; octets: Buffer }>()
  for (const [address, size, how] of deliveries) {
    const octets = randomBytes(size)
    const meta = { ...sampleMeta(newId(), clock.now(), size), header: eightBit }
    old.add(meta, octets, address, how)
    written.set(address, { meta, octets })
  }
  old.close()

  let store = await openTestStore({ dataDirectory, clock, vault: testVault() })
  try {
    assert.deepEqual(store.damages(), [])
    assert.deepEqual(await store.queue.counts(), { waiting: 4, active: 0, held: 1 })
    assert.deepEqual(await store.queue.masterKeyUsage(), [{ id: '', messages: 5 }])
    const waits = await store.queue.list({ limit: 10, cause: 'connection-trouble' })
    assert.deepEqual(
      waits.map(({ forwardPath, reversePath, status }) => [forwardPath, reversePath, status]),
      [
        ['deferred@example.org', 'max@example.com', 'waiting'],
        ['held@example.org', 'max@example.com', 'held'],
      ],
    )
    await store.queue.sweep(1000, { journalMs: 1 })
    assert.equal((await store.queue.counts()).held, 1)
    assert.equal(await store.queue.unhold({}), 1)

    const claims = await store.queue.claim(10, NOBODY)
    assert.equal(claims.length, 5)
    for (const { message, recipient, body, state } of claims) {
      const expected = written.get(recipient.forwardPath.text)
      assert.ok(expected)
      assert.deepEqual({ ...message, header: Buffer.from(message.header) }, expected.meta)
      assert.deepEqual(recipient, sampleRecipient(recipient.forwardPath.text))
      assert.equal(state.attempts, /^(?:deferred|held)/.test(recipient.forwardPath.text) ? 2 : 0)
      assert.ok(
        Buffer.concat(await Array.fromAsync(store.queue.readBody(message, body))).equals(expected.octets),
      )
    }
    const state = { attempts: 3, lastFailure: null, noTlsSince: null, delayNotified: true }
    const later = { kind: 'later', state, nextAttemptAt: clock.now(), entries: [], notices: [] } as const
    assert.deepEqual(
      await store.queue.settle(claims.map((claim) => ({ ...later, claim }))),
      Array(5).fill('ok'),
    )
    store = await store.restart()
    const again = await store.queue.claim(10, NOBODY)
    assert.deepEqual(
      again.map((claim) => claim.state.attempts),
      Array(5).fill(3),
    )
    assert.deepEqual(await store.queue.list({ limit: 10, cause: 'connection-trouble' }), [])
    await store.queue.settle(again.map((claim) => ({ kind: 'done', claim, entries: [], notices: [] })))
    assert.deepEqual(await store.bodyFiles(), [])
    assert.deepEqual(await store.queue.masterKeyUsage(), [])
  } finally {
    await store.stop()
    await rm(dataDirectory, { recursive: true })
  }
})
