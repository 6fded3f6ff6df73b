// Brings a database to the newest schema: numbered files, forward only, one transaction each. The number of
// the last one stands in `PRAGMA user_version`. Two processes may do this at once: the second one waits and
// finds nothing left to do.
import { readdirSync, readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { Fault } from '../../../runtime/fault.ts'

const version = (database: DatabaseSync): number =>
  Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)

/** Runs the files of `folder` (`0001-….sql`) that this database has not seen yet. */
export function migrate(database: DatabaseSync, folder: URL): void {
  const files = readdirSync(folder)
    .filter((name) => /^\d{4}-.+\.sql$/.test(name))
    .sort()
  const newest = Number(files.at(-1)?.slice(0, 4) ?? 0)
  const found = version(database)
  if (found > newest) {
    throw new Fault(
      'store-unavailable',
      `the database has schema ${found}, this version knows up to ${newest}`,
    )
  }
  if (found === newest) return
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const name of files) {
      const number = Number(name.slice(0, 4))
      if (number <= version(database)) continue
      database.exec(readFileSync(new URL(name, folder), 'utf8'))
      database.exec(`PRAGMA user_version = ${number}`)
    }
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}
