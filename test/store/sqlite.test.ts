// What is particular to the embedded store: files, lock, damage, a full disk, a second process.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { clearVault } from '../../src/queue/clear-vault.ts'
import { parseDomain } from '../../src/smtp/domain.ts'
import { openSqliteAdmin } from '../../src/store/sqlite/admin.ts'
import { bodyPath } from '../../src/store/sqlite/layout.ts'
import { isTrustedVersion } from '../../src/store/sqlite/writer/database.ts'
import { sampleEntry, sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { testVault } from '../support/test-vault.ts'
import { openTestStore, type TestStore } from './test-store.ts'

const MEGABYTE = 1024 ** 2
const NOBODY: ReadonlySet<string> = new Set()

describe('embedded store', () => {
  let store: TestStore
  beforeEach(async () => {
    store = await openTestStore()
  })
  afterEach(() => store.dispose())

  const enqueue = async (octets: number, lease: boolean) => {
    const id = store.newId()
    const writer = store.queue.beginBody(id)
    await writer.write(Buffer.alloc(octets, 'x'))
    const body = await writer.finish()
    const meta = sampleMeta(id, store.clock.now(), octets)
    const entry = sampleEntry(id, 'accepted', meta.acceptedAt)
    const claims = await store.queue.enqueue(
      { meta, recipients: [sampleRecipient('a@example.org')], body },
      [entry],
      {
        lease,
      },
    )
    return { id, claims }
  }
  it('O1: a second gateway cannot open the same directory', async () => {
    await assert.rejects(openTestStore({ dataDirectory: store.dataDirectory }), {
      code: 'store-unavailable',
      message: `another gateway is running in ${store.dataDirectory}`,
    })
  })

  it('what a former run had claimed is taken over, and the log says how much', async () => {
    await enqueue(1, true)
    await enqueue(1, true)
    store = await store.restart()
    assert.deepEqual(store.events, [{ name: 'queue.recovered', fields: { deliveries: 2, orphans: 0 } }])
    assert.deepEqual(await store.queue.counts(), { waiting: 2, active: 0, held: 0 })
  })

  it('files that no message names are removed at start, the others stay', async () => {
    const { id } = await enqueue(MEGABYTE, false)
    const orphan = store.newId()
    mkdirSync(join(store.dataDirectory, 'spool', orphan.slice(-2)), { recursive: true })
    writeFileSync(bodyPath(store.dataDirectory, orphan), 'half a mail')
    store = await store.restart()
    assert.deepEqual(await store.bodyFiles(), [id])
    assert.deepEqual(store.events, [{ name: 'queue.recovered', fields: { deliveries: 0, orphans: 1 } }])
  })

  it('A4: an aborted large body is unlinked at once, also while it is being written', async () => {
    const writer = store.queue.beginBody(store.newId())
    const wait = writer.write(Buffer.alloc(2 * MEGABYTE))
    writer.abort()
    await wait
    for (let looks = 0; (await store.bodyFiles()).length > 0; looks++) assert.ok(looks < 1000)
    assert.equal(writer.write(Buffer.alloc(1)), null)
    await assert.rejects(writer.finish(), { code: 'internal' })
  })

  it('the sweep removes an orphan after an hour, and never a body that is being received', async () => {
    const orphan = store.newId()
    mkdirSync(join(store.dataDirectory, 'spool', orphan.slice(-2)), { recursive: true })
    writeFileSync(bodyPath(store.dataDirectory, orphan), 'half a mail')
    const id = store.newId()
    const writer = store.queue.beginBody(id)
    await writer.write(Buffer.alloc(2 * MEGABYTE))
    await store.clock.advance(3_600_000)
    assert.deepEqual(await store.queue.sweep(1000, { journalMs: 1 }), { journalEntries: 0, orphans: 0 })
    await store.clock.advance(1)
    assert.deepEqual(await store.queue.sweep(1000, { journalMs: 1 }), { journalEntries: 0, orphans: 1 })
    assert.deepEqual(await store.bodyFiles(), [id])
    const body = await writer.finish()
    const meta = sampleMeta(id, store.clock.now(), body.sizeBytes)
    await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
      lease: false,
    })
  })

  it('a row that is not what was written is put aside and reported, encrypted or not', async () => {
    store = await store.restart(clearVault)
    const change = (column: string, from: string, to: string): string =>
      `${column} = CAST(replace(CAST(${column} AS TEXT), '${from}', '${to}') AS BLOB)`
    const damages = [
      `UPDATE message SET ${change('envelope', '{', '')} WHERE id = ?`,
      `UPDATE message SET ${change('envelope', '\n', '')}, header = x'' WHERE id = ?`,
      `UPDATE message SET ${change('envelope', '"domain":"example.com"', '"domain":"no domain"')} WHERE id = ?`,
      `UPDATE message SET ${change('envelope', '"level":"encrypt"', '"level":"whatever"')} WHERE id = ?`,
      `UPDATE delivery SET sealed_recipient = x'5b5d' WHERE message = (SELECT seq FROM message WHERE id = ?)`,
      `UPDATE delivery SET sealed_state = x'7b7d' WHERE message = (SELECT seq FROM message WHERE id = ?)`,
    ]
    const ids: string[] = []
    for (const sql of damages) {
      const { id } = await enqueue(1, false)
      store.edit(sql.replace('?', `'${id}'`))
      ids.push(id)
    }
    const { id: good } = await enqueue(1, false)
    const claims = await store.queue.claim(10, NOBODY)
    assert.deepEqual(
      claims.map(({ message }) => message.id),
      [good],
    )
    assert.deepEqual(
      store.events.map(({ name, fields }) => [name, fields['message']]),
      ids.map((id) => ['queue.damaged', id]),
    )
    assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 1, held: 6 })
    store = await store.restart()
    assert.equal((await store.queue.claim(10, NOBODY)).length, 1)
    assert.deepEqual(
      (await store.queue.list({ limit: 10 })).map(({ status }) => status),
      [...Array(6).fill('held'), 'active'],
    )
  })

  it('a delivery whose message is gone is put aside', async () => {
    const { id } = await enqueue(1, false)
    store.edit(`DELETE FROM message WHERE id = '${id}'`)
    assert.deepEqual(await store.queue.claim(10, NOBODY), [])
    assert.deepEqual(store.events, [
      { name: 'queue.damaged', fields: { message: null, reason: '1 deliveries without their message' } },
    ])
    assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 1 })
  })

  it('a body that was cut short is never taken for a whole one, encrypted or not', async () => {
    store = await store.restart(clearVault)
    const large = await enqueue(2 * MEGABYTE, false)
    const small = await enqueue(1000, false)
    await truncate(bodyPath(store.dataDirectory, large.id), MEGABYTE)
    store.edit(`UPDATE body SET octets = x'00'`)
    const reasons: string[] = []
    for (const { message, body } of await store.queue.claim(10, NOBODY)) {
      await assert.rejects(Array.fromAsync(store.queue.readBody(message, body)), { code: 'spool-unreadable' })
      reasons.push(message.id)
    }
    assert.deepEqual(reasons.sort(), [large.id, small.id].sort())
    assert.deepEqual(store.events.map(({ fields }) => fields['reason']).sort(), [
      'a body has 1 octets instead of 1000',
      'a body has 1048576 octets instead of 2097152',
    ])
  })

  it('bodies of first attempts stay in memory within the budget, and beyond it are read back', async () => {
    store = await (async () => {
      await store.dispose()
      return openTestStore({ settings: { memoryBudget: 1600 } })
    })()
    const kept: boolean[] = []
    const claims = []
    for (let count = 0; count < 17; count++) {
      const { claims: leased } = await enqueue(100, true)
      kept.push(leased[0]?.body.inMemory !== null)
      claims.push(...leased)
    }
    assert.deepEqual(kept, [...Array(16).fill(true), false])
    const { claims: tooLarge } = await enqueue(101, true)
    assert.equal(tooLarge[0]?.body.inMemory, null)
    for (const { message, body } of [...claims, ...tooLarge]) {
      const octets = Buffer.concat(await Array.fromAsync(store.queue.readBody(message, body)))
      assert.equal(octets.toString(), 'x'.repeat(body.sizeBytes))
    }
    await store.queue.settle(
      claims.slice(0, 1).map((claim) => ({ kind: 'done', claim, entries: [], notices: [] })),
    )
    assert.notEqual((await enqueue(100, true)).claims[0]?.body.inMemory, null)
  })

  it('files and directory are for the owner alone', async () => {
    await enqueue(MEGABYTE, false)
    const { id } = await enqueue(MEGABYTE, false)
    const names = ['config.db', 'queue.db', 'queue.db-wal', 'gateway.lock']
    const modes = names.map((name) => statSync(join(store.dataDirectory, name)).mode & 0o777)
    assert.deepEqual(modes, [0o600, 0o600, 0o600, 0o600])
    assert.equal((await stat(bodyPath(store.dataDirectory, id))).mode & 0o777, 0o600)
  })

  it('a database of a newer version is not touched', async () => {
    store.edit('PRAGMA user_version = 9999')
    await assert.rejects(store.restart(), { code: 'store-unavailable' })
  })

  it('A4, O3: the command line shows addresses with the keys, and without them that something waits', async () => {
    await enqueue(1, false)
    const seen: string[][] = []
    for (const vault of [testVault(), clearVault]) {
      const admin = openSqliteAdmin(store.dataDirectory, store.clock, vault)
      const listings = await admin.queue.list({ limit: 10 })
      seen.push(
        listings.map(({ reversePath, forwardPath, domain }) => `${reversePath} ${forwardPath} ${domain}`),
      )
      assert.deepEqual(await admin.queue.masterKeyUsage(), [{ id: 'one', messages: 1 }])
      admin.close()
    }
    assert.deepEqual(seen, [['max@example.com a@example.org example.org'], ['  example.org']])
  })

  it('A4: two hundred damaged message keys do not keep the next from the new master key', async () => {
    for (let count = 0; count < 201; count++) await enqueue(1, false)
    store.edit(`UPDATE message SET wrapped_key = x'00' WHERE seq <= 200`)
    store = await store.restart(testVault(['two', 'one']))
    await store.queue.sweep(1000, { journalMs: 1 })
    assert.deepEqual(await store.queue.masterKeyUsage(), [
      { id: 'one', messages: 200 },
      { id: 'two', messages: 1 },
    ])
  })

  it('O3: what operators change in this process wakes the worker, but not what they hold', async () => {
    let wakes = 0
    store.queue.onDue(() => wakes++)
    await enqueue(1, false)
    await store.queue.hold({})
    await store.queue.retryNow({})
    assert.equal(wakes, 0)
    await store.queue.unhold({})
    await store.queue.drop({}, true)
    await store.queue.move({}, 'mx.example:25')
    assert.equal(wakes, 3)
  })

  it('O3: the command line reads and changes while the gateway runs, and takes nothing over', async () => {
    const { id, claims } = await enqueue(1, true)
    await enqueue(1, true).then(({ claims: [claim] }) =>
      claim === undefined
        ? assert.fail()
        : store.queue.settle([
            {
              kind: 'later',
              claim,
              entries: [],
              notices: [],
              state: claim.state,
              nextAttemptAt: store.clock.now() + 9999,
            },
          ]),
    )
    const script = `
      import { openSqliteAdmin } from ${JSON.stringify(new URL('../../src/store/sqlite/admin.ts', import.meta.url).href)}
      const admin = openSqliteAdmin(${JSON.stringify(store.dataDirectory)}, { now: () => ${store.clock.now()} })
      await admin.accounts.putCustomer({ name: 'neu', domains: ['example.com'], addresses: [], cleartextAllowed: true, nullReversePathAllowed: false })
      await admin.accounts.putCredential({ login: 'Neu-1', customer: 'neu', passwordHash: 'hash' })
      const due = await admin.queue.retryNow({})
      const counts = await admin.queue.counts()
      const list = await admin.queue.list({ limit: 10 })
      const trace = await admin.journal.trace('${id}')
      admin.close()
      console.log(JSON.stringify({ due, counts, listed: list.length, traced: trace.length }))`
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    })
    assert.deepEqual(JSON.parse(output), {
      due: 1,
      counts: { waiting: 1, active: 1, held: 0 },
      listed: 2,
      traced: 1,
    })
    assert.equal((await store.queue.claim(10, NOBODY)).length, 1)
    assert.deepEqual(
      await store.queue.settle(claims.map((claim) => ({ kind: 'done', claim, entries: [], notices: [] }))),
      ['ok'],
    )
    assert.equal((await store.accounts.findCredential('NEU-1'))?.customer.name, 'neu')
  })
})

describe('customers and credentials', () => {
  const domain = parseDomain('example.com')
  const customer = {
    name: 'Kanzlei Müller',
    domains: domain === null ? [] : [domain],
    addresses: ['max@example.net'],
    cleartextAllowed: true,
    nullReversePathAllowed: false,
  }

  it('S3: what was put is found again, in the gateway and from the command line', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'accounts-test-'))
    const admin = openSqliteAdmin(directory)
    try {
      await admin.accounts.putCustomer(customer)
      await admin.accounts.putCredential({ login: 'Müller-1', customer: customer.name, passwordHash: 'one' })
      await admin.accounts.putCredential({ login: 'müller-1', customer: customer.name, passwordHash: 'two' })
      await admin.accounts.putCustomer({ ...customer, addresses: [], nullReversePathAllowed: true })
      const changed = { ...customer, addresses: [], nullReversePathAllowed: true }
      assert.deepEqual(await admin.accounts.findCredential('MÜLLER-1'), {
        credential: { login: 'müller-1', customer: customer.name, passwordHash: 'two' },
        customer: changed,
      })
      assert.deepEqual(await admin.accounts.listCustomers(), [{ customer: changed, logins: ['müller-1'] }])
      assert.deepEqual(await admin.accounts.findCustomer(customer.name), changed)
      await assert.rejects(
        admin.accounts.putCredential({ login: 'x', customer: 'nobody', passwordHash: 'y' }),
        {
          code: 'internal',
        },
      )
      assert.equal(await admin.accounts.removeCredential('nobody'), false)
      assert.equal(await admin.accounts.removeCustomer(customer.name), true)
      assert.equal(await admin.accounts.findCredential('müller-1'), null)
    } finally {
      admin.close()
      await rm(directory, { recursive: true })
    }
  })
})

describe('SQLite version', () => {
  const valid = ['3.51.3', '3.51.10', '3.52.0', '3.53.4', '4.0.0']
  const invalid = ['3.51.2', '3.46.1', '3.7.0', '2.99.99', '', 'unknown']
  it('versions with the WAL-reset bug are refused', () => {
    assert.deepEqual(
      valid.filter((text) => !isTrustedVersion(text)),
      [],
    )
    assert.deepEqual(invalid.filter(isTrustedVersion), [])
  })
})
