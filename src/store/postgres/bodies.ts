// Bodies in the database: reads them back row by row, opened and counted, and takes away those that no message
// will name.
import type { MessageMeta, StoredBody } from '../../queue/message.ts'
import type { Vault } from '../../queue/vault.ts'
import { Fault } from '../../runtime/fault.ts'
import { DISCARD } from './body-writer.ts'
import { octetsOrNull } from './session/columns.ts'
import type { Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import { KEY_COLUMNS, keyOf } from './writer/claim.ts'

export interface Bodies {
  /** The octets of a stored body. Throws `spool-unreadable` when they are gone, changed or not `sizeBytes` long. */
  read(message: MessageMeta, body: StoredBody): AsyncIterable<Uint8Array>
  /** Removes the rows of an upload in the background. What fails is tried again by `retry`. */
  discard(bodyId: string): void
  /** Tries again what could not be removed; how many are gone now. */
  retry(): Promise<number>
  /** Resolves when no removal runs. */
  idle(): Promise<void>
}

/** Abandoned uploads that are remembered for another try; the end of the run removes any that are not. */
const ABANDONED_MAX = 10_000

const ROW: Statement = {
  name: 'body-row',
  text: `SELECT ${KEY_COLUMNS}, c.octets FROM message AS m LEFT JOIN chunk AS c ON c.body_id = m.body_id AND c.n = $2::integer
    WHERE m.id = $1::text`,
}

export function createBodies(pool: Pool, vault: Vault): Bodies {
  const abandoned = new Set<string>()
  const removals = new Set<Promise<void>>()

  const remove = async (bodyId: string): Promise<boolean> => {
    try {
      await pool.run((connection) => connection.query(DISCARD, [bodyId]))
      abandoned.delete(bodyId)
      return true
    } catch {
      if (abandoned.size < ABANDONED_MAX) abandoned.add(bodyId)
      return false
    }
  }

  async function* sealedRows(messageId: string) {
    for (let n = 0; ; n++) {
      const { rows } = await pool
        .run((connection) => connection.query(ROW, [messageId, n]))
        .catch((error) => {
          throw faultOf(error)
        })
      const [row] = rows
      if (row === undefined) throw new Fault('spool-unreadable', 'the message is gone')
      const octets = octetsOrNull(row, 'octets')
      if (octets === null) return
      yield { key: keyOf(row), octets }
    }
  }

  return {
    async *read(message, body) {
      if (body.inMemory !== null) {
        yield* body.inMemory
        return
      }
      let pipe: ReturnType<ReturnType<Vault['openKey']>['openBody']> | null = null
      let seen = 0
      for await (const { key, octets } of sealedRows(message.id)) {
        pipe ??= vault.openKey(key.id, key.masterKey, key.wrappedKey).openBody()
        for (const plain of pipe.write(octets)) {
          seen += plain.length
          yield plain
        }
      }
      for (const plain of pipe?.end() ?? []) {
        seen += plain.length
        yield plain
      }
      if (seen === body.sizeBytes) return
      throw new Fault('spool-unreadable', `a body has ${seen} octets instead of ${body.sizeBytes}`)
    },
    discard(bodyId) {
      const removal: Promise<void> = remove(bodyId).then(() => void removals.delete(removal))
      removals.add(removal)
    },
    async retry() {
      let removed = 0
      for (const bodyId of [...abandoned]) if (await remove(bodyId)) removed++
      return removed
    },
    async idle() {
      await Promise.all(removals)
    },
  }
}
