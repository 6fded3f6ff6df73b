// The life of a delivery in SQL: written, claimed, settled, given back, put aside. Every operation here runs
// inside a transaction that group-commit.ts opens. See docs/queue-states.md for the states.
import type { DatabaseSync } from 'node:sqlite'
import { claimHandler } from './claim.ts'
import { integer, text } from './columns.ts'
import type { Handlers } from './handlers.ts'
import type { EventRow, MessageRow, SettleRow } from './protocol.ts'

type QueueHandlers = Pick<Handlers, 'begin' | 'enqueue' | 'claim' | 'settle' | 'release' | 'hold' | 'retry'>

/** Reads the octets of a request piece by piece, in the order in which they were packed. */
const reader = (octets: Uint8Array): ((length: number) => Uint8Array) => {
  let position = 0
  return (length) => {
    position += length
    return octets.subarray(position - length, position)
  }
}

/** Writes messages; the octets are taken from `take` in the order header, inline body. */
function messageWriter(queue: DatabaseSync) {
  const message = queue.prepare(
    `INSERT INTO message (id, customer, reverse_path, size_bytes, accepted_at, expires_at, location, body_bytes,
       meta, header) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const body = queue.prepare('INSERT INTO body (message, octets) VALUES (?, ?)')
  const delivery = queue.prepare(
    `INSERT INTO delivery (message, position, domain, forward_path, recipient, next_at, owner, token)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  return (
    row: MessageRow,
    take: (length: number) => Uint8Array,
    owner: number | null,
    dueAt: number,
  ): void => {
    const { id, customer, reversePath, sizeBytes, acceptedAt, expiresAt, location, bodyBytes, meta } = row
    const header = take(row.headerBytes)
    const { lastInsertRowid: seq } = message.run(
      id,
      customer,
      reversePath,
      sizeBytes,
      acceptedAt,
      expiresAt,
      location,
      bodyBytes,
      meta,
      header,
    )
    if (location === 'inline') body.run(seq, take(bodyBytes))
    const token = owner === null ? 0 : 1
    for (const [position, { domain, forwardPath, recipient }] of row.deliveries.entries()) {
      delivery.run(seq, position, domain, forwardPath, recipient, dueAt, owner, token)
    }
  }
}

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
    `UPDATE delivery SET owner = NULL, next_at = ?, attempts = ?, state = ?
      WHERE message = ? AND position = ? AND owner = ? AND token = ?`,
  )
  const giveBack = queue.prepare(
    `UPDATE delivery SET owner = NULL, next_at = ?
      WHERE message = (SELECT seq FROM message WHERE id = ?) AND position = ? AND owner = ? AND token = ?`,
  )
  const putAside = queue.prepare(
    `UPDATE delivery SET owner = NULL, held = ?
      WHERE message = (SELECT seq FROM message WHERE id = ?) AND position = ? AND owner = ? AND token = ?`,
  )
  const retrySome = queue.prepare(
    `UPDATE delivery SET next_at = ?1 WHERE (message, position) IN
       (SELECT message, position FROM delivery INDEXED BY delivery_due
         WHERE owner IS NULL AND held IS NULL AND next_at > ?1 LIMIT ?2)`,
  )
  const retryDomain = queue.prepare(
    `UPDATE delivery SET next_at = ?1 WHERE (message, position) IN
       (SELECT message, position FROM delivery INDEXED BY delivery_by_domain
         WHERE owner IS NULL AND held IS NULL AND domain = ?3 AND next_at > ?1 LIMIT ?2)`,
  )
  const retryMessage = queue.prepare(
    `UPDATE delivery SET next_at = ?1 WHERE message = (SELECT seq FROM message WHERE id = ?2)
       AND owner IS NULL AND held IS NULL AND next_at > ?1 AND (?3 IS NULL OR domain = ?3)`,
  )

  /** One result; `true` when the message went with it and a file is to be unlinked. `null`: fenced. */
  const settleOne = (row: SettleRow): boolean | null => {
    const message = findMessage.get(row.messageId)
    if (message === undefined) return null
    const seq = integer(message, 'seq')
    const { position, token, later } = row
    if (later !== null) {
      const { nextAt, attempts, state } = later
      const { changes } = postpone.run(nextAt, attempts, state, seq, position, owner, token)
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
        const settled = settleOne(row)
        if (settled === true) emptied.push(row.messageId)
        for (const notice of row.notices) {
          if (settled !== null) insertMessage(notice, take, null, now)
          else take(notice.headerBytes + (notice.location === 'inline' ? notice.bodyBytes : 0))
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
    hold: ({ claim: { messageId, position, token }, reason }) => {
      putAside.run(reason, messageId, position, owner, token)
      return null
    },
    retry: ({ now, limit, messageId, domain }) => {
      if (messageId !== null) return Number(retryMessage.run(now, messageId, domain).changes)
      const result = domain === null ? retrySome.run(now, limit) : retryDomain.run(now, limit, domain)
      return Number(result.changes)
    },
  }
}
