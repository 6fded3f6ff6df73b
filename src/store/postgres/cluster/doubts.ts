// What is unknown after a connection was lost within a commit: was it carried out? Nothing was promised to
// anybody, so it must not have been:
//
//   1. The server's process that ran it is ended, if it still waits (for a standby): from then on the outcome is
//      visible. Processes are found by the unique name of their connection.
//   2. Messages that were answered with 451 are deleted, if they are there and nobody has touched them: the
//      client sends them again, and they must not arrive twice.
//   3. Deliveries that belong to this run but are not in hand (a claim whose answer was lost, a release that
//      failed) go back.
//
// A result in doubt needs nothing: it is settled again, and is `fenced` when it had been stored.
import { createSemaphore } from '../../../runtime/limit.ts'
import { integer, text } from '../session/columns.ts'
import type { Connection, Statement } from '../session/connection.ts'
import type { Ledger } from './ledger.ts'

export interface Doubts {
  /** A commit on this connection may or may not have happened; `refused`: messages it would have stored. */
  note(label: string, refused: readonly string[]): void
  /** Something that is ours in the database is not in hand. */
  noteUnheld(): void
  readonly isAny: boolean
  /** Runs a claim: never while step 3 compares. */
  whileClaiming<T>(work: () => Promise<T>): Promise<T>
  /** Step 1; needs no commit, and so works while commits hang. True when no such process is left. */
  endProcesses(connection: Connection): Promise<boolean>
  /** Clears up what can be cleared up now; what cannot waits for the next call. */
  resolve(connection: Connection, incarnation: number, now: number): Promise<void>
}

const CLAIMS_WAITING_MAX = 100

const END_PROCESSES: Statement = {
  name: 'doubts-end',
  text: `SELECT application_name AS label, pg_terminate_backend(pid) AS told FROM pg_stat_activity
          WHERE application_name = ANY($1::text[]) AND usename = current_user`,
}
const LOCK: Statement = {
  name: 'doubts-lock',
  text: 'SELECT 1 FROM delivery WHERE message_id = ANY($1::text[]) ORDER BY message_id, position FOR UPDATE',
}
const REMOVE: Statement = {
  name: 'doubts-remove',
  text: `WITH untouched AS (
      SELECT id, body_id FROM message AS m WHERE id = ANY($1::text[]) AND NOT EXISTS (
        SELECT FROM delivery AS d WHERE d.message_id = m.id AND NOT (d.token <= 1 AND d.attempts = 0
           AND (d.owner IS NULL OR d.owner = $2::bigint)))),
    events AS (DELETE FROM event USING untouched AS u WHERE event.message_id = u.id),
    chunks AS (DELETE FROM chunk USING untouched AS u WHERE chunk.body_id = u.body_id),
    deliveries AS (DELETE FROM delivery USING untouched AS u WHERE delivery.message_id = u.id)
    DELETE FROM message USING untouched AS u WHERE message.id = u.id`,
}
export const OWNED: Statement = {
  name: 'doubts-owned',
  text: 'SELECT message_id, position, token FROM delivery WHERE owner = $1::bigint',
}
export const GIVE_BACK: Statement = {
  name: 'doubts-give-back',
  text: `UPDATE delivery AS d SET owner = NULL, next_at = $3::bigint
           FROM json_to_recordset($1::json) AS t (message_id text, position int, token bigint)
          WHERE d.message_id = t.message_id AND d.position = t.position AND d.token = t.token
            AND (d.owner = $2::bigint) IS TRUE`,
}

/** @param onNote called when there is something to clear up */
export function createDoubts(ledger: Ledger, onNote: () => void): Doubts {
  /** One at a time: claims, and the comparison with what is in hand. */
  const claims = createSemaphore(1, CLAIMS_WAITING_MAX)
  const labels = new Set<string>()
  const refused = new Set<string>()
  let unheld = false

  const endProcesses = async (connection: Connection): Promise<boolean> => {
    if (labels.size === 0) return true
    const asked = [...labels]
    const { rows } = await connection.query(END_PROCESSES, [asked])
    const left = new Set(rows.map((row) => text(row, 'label')))
    // Others may have been noted meanwhile: only what was asked about can be forgotten.
    for (const label of asked) if (!left.has(label)) labels.delete(label)
    return labels.size === 0
  }
  const remove = async (
    connection: Connection,
    ids: readonly string[],
    incarnation: number,
  ): Promise<void> => {
    if (ids.length === 0) return
    await connection.transaction([
      { statement: LOCK, values: [ids] },
      { statement: REMOVE, values: [ids, incarnation] },
    ])
    for (const id of ids) refused.delete(id)
  }
  const giveBack = async (connection: Connection, incarnation: number, now: number): Promise<void> => {
    const { rows } = await connection.query(OWNED, [incarnation])
    const lost = rows
      .map((row) => ({
        messageId: text(row, 'message_id'),
        position: integer(row, 'position'),
        token: integer(row, 'token'),
      }))
      // What was refused meanwhile is about to be deleted: given back it would be delivered after its 451.
      .filter((key) => !ledger.has(key) && !refused.has(key.messageId))
      .map(({ messageId, ...key }) => ({ message_id: messageId, ...key }))
    if (lost.length > 0) await connection.query(GIVE_BACK, [JSON.stringify(lost), incarnation, now])
  }
  const exclusively = async <T>(work: () => Promise<T>): Promise<T | null> => {
    const leave = await claims.acquire()
    if (leave === null) return null
    try {
      return await work()
    } finally {
      leave()
    }
  }

  return {
    endProcesses,
    note(label, ids) {
      labels.add(label)
      for (const id of ids) refused.add(id)
      unheld = true
      onNote()
    },
    noteUnheld() {
      unheld = true
      onNote()
    },
    get isAny() {
      return labels.size > 0 || refused.size > 0 || unheld
    },
    async whileClaiming(work) {
      return (await exclusively(work)) ?? work()
    },
    async resolve(connection, incarnation, now) {
      // What is noted from here on is for the next call: its process may still be about.
      const ids = [...refused]
      const compare = unheld
      unheld = false
      let isDone = false
      try {
        if (!(await endProcesses(connection))) return
        await remove(connection, ids, incarnation)
        if (compare) await exclusively(() => giveBack(connection, incarnation, now))
        isDone = true
      } finally {
        if (!isDone) unheld ||= compare
      }
    },
  }
}
