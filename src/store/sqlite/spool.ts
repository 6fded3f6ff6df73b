// The folder of large bodies: reads them back, removes those that are done, and finds files that no message
// names (a crash between file and row, or between row and unlink). Files are only ever unlinked after the
// row is gone, so an orphan is all that a crash can leave.
import { createReadStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../runtime/fault.ts'
import { idTime, isId } from '../../runtime/ids.ts'
import { bodyPath, spoolPath } from './layout.ts'
import type { Executor } from './writer/protocol.ts'

export interface Spool {
  /** The octets of a file in order, as they are stored. Throws `spool-unreadable` when it cannot be read. */
  read(messageId: string): AsyncIterable<Uint8Array>
  /** Unlinks; a file that stays is an orphan for the sweep. Never rejects. */
  remove(messageIds: readonly string[]): Promise<void>
  /**
   * Removes files without a message whose id is older than `before` (epoch ms), folder by folder, going on
   * where the last call ended, until `expired` says so or all folders were seen. Returns how many.
   */
  sweep(before: number, expired: () => boolean): Promise<number>
}

const READ_OCTETS = 256 * 1024
const IDS_PER_QUESTION = 500

export interface SpoolDeps {
  readonly dataDirectory: string
  readonly executor: Executor
  /** Ids with a file that no row names yet. */
  readonly open: { has(messageId: string): boolean }
}

export function createSpool({ dataDirectory, executor, open }: SpoolDeps): Spool {
  const root = spoolPath(dataDirectory)
  /** The folder that the last sweep finished. */
  let reached = ''

  const remove = async (messageIds: readonly string[]): Promise<void> => {
    await Promise.allSettled(messageIds.map((id) => rm(bodyPath(dataDirectory, id), { force: true })))
  }

  const sweepFolder = async (folder: string, before: number): Promise<number> => {
    const names = await namesIn(join(root, folder))
    const old = names.filter((name) => isId(name) && name.endsWith(folder) && idTime(name) < before)
    let removed = 0
    for (let from = 0; from < old.length; from += IDS_PER_QUESTION) {
      const asked = old.slice(from, from + IDS_PER_QUESTION).filter((id) => !open.has(id))
      const known = new Set(await executor.request('known', { ids: asked }))
      const orphans = asked.filter((id) => !known.has(id))
      await remove(orphans)
      removed += orphans.length
    }
    return removed
  }

  return {
    read: (messageId) => readFile(bodyPath(dataDirectory, messageId)),
    remove,
    async sweep(before, expired) {
      const folders = (await namesIn(root)).filter((name) => name.length === 2).sort()
      const ordered = [
        ...folders.filter((name) => name > reached),
        ...folders.filter((name) => name <= reached),
      ]
      let removed = 0
      for (const folder of ordered) {
        if (expired()) break
        removed += await sweepFolder(folder, before)
        reached = folder
      }
      return removed
    },
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: READ_OCTETS })
  } catch (error) {
    throw new Fault('spool-unreadable', 'a body cannot be read', { cause: error })
  }
}
