// The wrapped message keys: who needs which master key, and the exchange of the wrapping when it is changed.
import type { DatabaseSync } from 'node:sqlite'
import { integer, text } from './columns.ts'
import type { Handlers } from './handlers.ts'
import { KEY_COLUMNS, keyOf, reader } from './stored-message.ts'

type KeyHandlers = Pick<Handlers, 'keys' | 'keyUsage' | 'wrappedBy' | 'rewrap'>

export function keyHandlers(queue: DatabaseSync): KeyHandlers {
  const find = queue.prepare(`SELECT ${KEY_COLUMNS} FROM message WHERE id = ?`)
  const usage = queue.prepare(
    `SELECT master_key AS id, count(*) AS messages FROM message INDEXED BY message_by_master_key
      WHERE master_key <> '' GROUP BY master_key ORDER BY master_key`,
  )
  const messages = queue.prepare('SELECT count(*) AS messages FROM message')
  const wrappedBy = queue.prepare(
    `SELECT seq, ${KEY_COLUMNS} FROM message INDEXED BY message_by_master_key
      WHERE master_key = ?1 AND master_key <> '' AND seq > ?2 ORDER BY seq LIMIT ?3`,
  )
  const rewrap = queue.prepare(
    'UPDATE message SET master_key = ?, wrapped_key = ? WHERE id = ? AND master_key = ?',
  )
  return {
    keys: ({ ids }) => ids.flatMap((id) => find.all(id).map(keyOf)),
    keyUsage: () => {
      const encrypted = usage
        .all()
        .map((row) => ({ id: text(row, 'id'), messages: integer(row, 'messages') }))
      const all = integer(messages.get() ?? {}, 'messages')
      const clear = all - encrypted.reduce((sum, row) => sum + row.messages, 0)
      return clear > 0 ? [{ id: '', messages: clear }, ...encrypted] : encrypted
    },
    wrappedBy: ({ masterKey, after, limit }) => {
      const rows = wrappedBy.all(masterKey, after, limit)
      return { keys: rows.map(keyOf), last: rows.length === 0 ? after : integer(rows.at(-1) ?? {}, 'seq') }
    },
    rewrap: ({ rows }, octets) => {
      const take = reader(octets)
      for (const { messageId, from, to, wrappedKeyBytes } of rows) {
        rewrap.run(to, take(wrappedKeyBytes), messageId, from)
      }
      return null
    },
  }
}
