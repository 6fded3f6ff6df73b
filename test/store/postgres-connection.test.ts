// The way to the database: TLS that is verified, passwords that stand in no message, servers that are no use.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Fault } from '../../src/runtime/fault.ts'
import { openPostgresAdmin } from '../../src/store/postgres/admin.ts'
import { parseStoreAddress } from '../../src/store/settings.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { createFastClock } from '../support/lease-clocks.ts'
import { requirePart } from '../support/parts.ts'
import { freePort } from '../support/ports.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'

const postgres = requirePart('postgres')

describe('the way to the database', { skip: postgres.skip }, () => {
  let server: PostgresServer
  let directory: string
  let url: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'st-tls-'))
    const [right, wrong] = [createCertificateAuthority(), createCertificateAuthority()]
    await writeFile(join(directory, 'right.pem'), right.certificate)
    await writeFile(join(directory, 'wrong.pem'), wrong.certificate)
    server = await startPostgres(right.issue(['localhost']))
    url = await server.createDatabase()
  })
  after(async () => {
    await server.dispose()
    await rm(directory, { recursive: true, force: true })
  })

  const open = (text: string) => {
    const address = parseStoreAddress(text)
    assert.ok(address?.kind === 'postgres')
    return openPostgresAdmin(address, createFastClock(20))
  }
  const faultOf = async (text: string): Promise<Fault> => {
    try {
      await (await open(text)).close()
    } catch (error) {
      if (error instanceof Fault) return error
      throw error
    }
    return assert.fail('it could be opened')
  }
  const byName = (parameters: string): string => `${url.replace('127.0.0.1', 'localhost')}?${parameters}`

  test('T6: the certificate of the server is verified, by authority and name', async () => {
    const store = await open(byName(`sslmode=verify-full&sslrootcert=${directory}/right.pem`))
    const encrypted = await server.sql(
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'gateway'`,
      url,
    )
    await store.close()
    assert.equal(encrypted, 't')
    for (const parameters of [
      'sslmode=verify-full',
      `sslmode=verify-full&sslrootcert=${directory}/wrong.pem`,
    ]) {
      const { code, message } = await faultOf(byName(parameters))
      assert.equal(code, 'store-unavailable')
      assert.match(message, /self-signed certificate|unable to verify|certificate signature failure/)
    }
    const otherName = `${url}?sslmode=verify-full&sslrootcert=${directory}/right.pem`
    assert.equal((await faultOf(otherName)).code, 'store-unavailable')
  })

  test('S1: a password is used, and a wrong one stands in no message', async () => {
    const locked = url.replace('gateway@', 'locked:correct%20horse@')
    await (await open(locked)).close()
    const { code, message } = await faultOf(url.replace('gateway@', 'locked:hunter2@'))
    assert.equal(code, 'store-unavailable')
    assert.match(message, /password authentication failed/)
    assert.doesNotMatch(message, /hunter2/)
  })

  test('O1: a host that does not answer is passed over, and without any the fault says why', async () => {
    const unused = await freePort()
    const store = await open(url.replace('127.0.0.1', `127.0.0.1:${unused},127.0.0.1`))
    assert.deepEqual(await store.queue.counts(), { waiting: 0, active: 0, held: 0 })
    await store.close()
    const { code, message } = await faultOf(`postgres://gateway@127.0.0.1:${unused}/mail`)
    assert.equal(code, 'store-unavailable')
    assert.match(
      message,
      new RegExp(`no server takes writes: 127\\.0\\.0\\.1:${unused}: connect ECONNREFUSED`),
    )
  })

  test('O1: a server that takes no writes is not used', async () => {
    await server.sql(`ALTER ROLE gateway SET default_transaction_read_only = on`)
    try {
      assert.match((await faultOf(url)).message, /it is a standby, or read-only/)
    } finally {
      await server.sql(`ALTER ROLE gateway RESET default_transaction_read_only`)
    }
  })
})
