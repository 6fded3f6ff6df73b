// The life of a delivery in SQL: written, claimed, settled, given back, put aside. Every operation here runs
// inside a transaction that group-commit.ts opens. See docs/queue-states.md for the states.
import type { DatabaseSync } from 'node:sqlite'
import type { EventRow } from '../../record.ts'
import { claimHandler } from './claim.ts'
import { integer, text } from './columns.ts'
import type { Handlers } from './handlers.ts'
import type { SettleRow } from './protocol.ts'
import { messageWriter, packedBytes, reader, type Take } from './stored-message.ts'

type QueueHandlers = Pick<Handlers, 'begin' | 'enqueue' | 'claim' | 'settle' | 'release' | 'hold'>

export function queueHandlers(
  queue: DatabaseSync,
  insertEvents: (events: readonly EventRow[]) => void,
): QueueHandlers {
  /** This run of the gateway; `null` before `begin` and in the command line, which then can claim nothing. */
  let owner: number | null = null
  const insertMessage = messageWriter(queue)
  const newIncarnation = queue.prepare('INSERT INTO incarnation (started_at) VALUES (?) RETURNING id')
  const takeOver = queue.prepare(
    'UPDATE delivery SET owner = NULL, next_at = ? WHERE owner IS NOT NULL AND owner <> ?',
  )
  const forgetIncarnations = queue.prepare('DELETE FROM incarnation WHERE id < ? - 1000')
  const findMessage = queue.prepare('SELECT seq, location FROM message WHERE id = ?')
  const finish = queue.prepare(
    'DELETE FROM delivery WHERE message = ? AND position = ? AND owner = ? AND token = ?',
  )
  const anyLeft = queue.prepare('SELECT 1 FROM delivery WHERE message = ? LIMIT 1')
  const removeMessage = queue.prepare('DELETE FROM message WHERE seq = ?')
  const removeBody = queue.prepare('DELETE FROM body WHERE message = ?')
  const postpone = queue.prepare(
    `UPDATE delivery SET owner = NULL, next_at = ?1, attempts = ?2, cause = ?3, held = ?4,
        sealed_state = coalesce(?5, sealed_state), state = iif(?5 IS NULL, state, NULL)
      WHERE message = ?6 AND position = ?7 AND owner = ?8 AND token = ?9`,
  )
  const giveBack = queue.prepare(
    `UPDATE delivery SET owner = NULL, next_at = ?
      WHERE message = (SELECT seq FROM message WHERE id = ?) AND position = ? AND owner = ? AND token = ?`,
  )
  // While it is held, `next_at` is the end of its lifetime.
  const putAside = queue.prepare(
    `UPDATE delivery SET owner = NULL, held = ?1, next_at = message.expires_at FROM message
      WHERE message.id = ?2 AND delivery.message = message.seq AND position = ?3 AND owner = ?4 AND token = ?5`,
  )

  /** One result; `true` when the message went with it and a file is to be unlinked. `null`: fenced. */
  const settleOne = (row: SettleRow, take: Take): boolean | null => {
    const { position, token, later } = row
    const state = later === null || later.stateBytes === 0 ? null : take(later.stateBytes)
    const message = findMessage.get(row.messageId)
    if (message === undefined) return null
    const seq = integer(message, 'seq')
    if (later !== null) {
      const { nextAt, attempts, cause, held } = later
      const { changes } = postpone.run(nextAt, attempts, cause, held, state, seq, position, owner, token)
      return changes === 0 ? null : false
    }
    if (finish.run(seq, position, owner, token).changes === 0) return null
    if (anyLeft.get(seq) !== undefined) return false
    removeMessage.run(seq)
    if (text(message, 'location') === 'file') return true
    removeBody.run(seq)
    return false
  }

  return {
    begin: ({ now }) => {
      const incarnation = integer(newIncarnation.get(now) ?? {}, 'id')
      owner = incarnation
      forgetIncarnations.run(incarnation)
      return { incarnation, recovered: Number(takeOver.run(now, incarnation).changes) }
    },
    enqueue: ({ message, lease, dueAt, events }, octets) => {
      if (lease && owner === null) throw new Error('the store was not started')
      insertMessage(message, reader(octets), lease ? owner : null, dueAt)
      insertEvents(events)
      return null
    },
    claim: claimHandler(queue, () => owner),
    settle: ({ now, rows }, octets) => {
      const take = reader(octets)
      const emptied: string[] = []
      const results = rows.map((row) => {
        const settled = settleOne(row, take)
        if (settled === true) emptied.push(row.messageId)
        for (const notice of row.notices) {
          if (settled !== null) insertMessage(notice, take, null, now)
          else take(packedBytes(notice))
        }
        if (settled !== null) insertEvents(row.events)
        return settled === null ? 'fenced' : 'ok'
      })
      return { results, emptied }
    },
    release: ({ now, claims }) => {
      for (const { messageId, position, token } of claims)
        giveBack.run(now, messageId, position, owner, token)
      return null
    },
    hold: ({ claim: { messageId, position, token }, reason, events }) => {
      const { changes } = putAside.run(reason, messageId, position, owner, token)
      if (changes > 0) insertEvents(events)
      return null
    },
  }
}
