// A disk that hangs, as far as the gateway can tell: the write lock of its queue is held from outside, so that no
// transaction ends. What it says then and loses by a kill, it said too early; without this the moment between
// a commit and the word of it is too short to be hit.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The gateway itself waits five seconds for the lock; ours is gone before. */
const LOCK_WITHIN_MS = 2000

/** Holds the lock until the returned function is called, once, after the gateway is dead. */
export function stallStore(dataDirectory: string): () => void {
  const database = new DatabaseSync(join(dataDirectory, 'queue.db'), { timeout: LOCK_WITHIN_MS })
  database.exec('BEGIN IMMEDIATE')
  return () => database.close()
}
