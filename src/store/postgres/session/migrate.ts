// Brings the shared database to the newest schema: numbered files, forward only, each in a transaction, one
// gateway at a time under an advisory lock. Other gateways are running meanwhile, of this version or the one
// before: a file only adds (expand); what nobody uses any more goes away one version later (contract). Each
// file names with `readable-from` the oldest schema number that a gateway must know to live with the result.
import { readdir, readFile } from 'node:fs/promises'
import { Fault } from '../../../runtime/fault.ts'
import { integer } from './columns.ts'
import type { Connection, Statement } from './connection.ts'

/** Any number that is ours alone. */
const LOCK = 7_250_001
const LOCK_LIMIT_MS = 120_000
const FILE_LIMIT_MS = 600_000

const plain = (text: string): Statement => ({ name: '', text })

/** Runs the files of `folder` (`0001-….sql`) that this database has not seen yet. */
export async function migrate(connection: Connection, folder: URL): Promise<void> {
  const files = (await readdir(folder)).filter((name) => /^\d{4}-.+\.sql$/.test(name)).sort()
  const newest = Number(files.at(-1)?.slice(0, 4) ?? 0)
  if ((await versionOf(connection, newest)) >= newest) return
  await connection.query(
    plain(`SET lock_timeout = '110s'; SELECT pg_advisory_lock(${LOCK})`),
    [],
    LOCK_LIMIT_MS,
  )
  try {
    await connection.query(
      plain(`SET lock_timeout = '10s'; SET client_min_messages = error;
      CREATE SCHEMA IF NOT EXISTS secure_transport;
      CREATE TABLE IF NOT EXISTS schema_version (number integer PRIMARY KEY, readable_from integer NOT NULL)`),
    )
    const found = await versionOf(connection, newest)
    for (const name of files) {
      const number = Number(name.slice(0, 4))
      if (number <= found) continue
      const text = await readFile(new URL(name, folder), 'utf8')
      const readableFrom = Number(/^-- readable-from: (\d+)$/m.exec(text)?.[1] ?? number)
      const record = `INSERT INTO schema_version VALUES (${number}, ${readableFrom})`
      // Several statements in one question are one transaction.
      await connection.query(plain(`${text};\n${record}`), [], FILE_LIMIT_MS)
    }
  } finally {
    await connection.query(plain(`RESET client_min_messages; SELECT pg_advisory_unlock(${LOCK})`))
  }
}

/** The schema's number, 0 for none. Throws when it is too new for this version. */
async function versionOf(connection: Connection, newest: number): Promise<number> {
  const exists = await connection.query(
    plain("SELECT to_regclass('secure_transport.schema_version') IS NOT NULL AS found"),
  )
  if (exists.rows[0]?.['found'] !== true) return 0
  const { rows } = await connection.query(
    plain(
      'SELECT coalesce(max(number), 0) AS number, coalesce(max(readable_from), 0) AS oldest FROM schema_version',
    ),
  )
  const number = integer(rows[0] ?? {}, 'number')
  if (integer(rows[0] ?? {}, 'oldest') <= newest) return number
  throw new Fault(
    'store-unavailable',
    `the database has schema ${number}, this version knows up to ${newest}`,
  )
}
