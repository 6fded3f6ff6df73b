// What every node does now and then, a little at a time, beside the others: journal entries past their retention
// go, held deliveries whose lifetime is over become due to be failed, message keys move to the current master
// key, messages without deliveries and runs that ended long ago are removed. Rows that another node has locked
// are passed over.
import type { Log } from '../../observability/log.ts'
import type { QueueStore } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import type { Bodies } from './bodies.ts'
import { integer } from './session/columns.ts'
import type { Result, Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import { KEY_COLUMNS, keyOf, type StoredKey } from './writer/claim.ts'

export interface UpkeepDeps {
  readonly pool: Pool
  readonly vault: Vault
  readonly clock: Clock
  readonly log: Log
  readonly bodies: Bodies
  /** Something became due. */
  readonly onDue: () => void
}

const EXPIRE_ROWS = 1000
const EXPIRE_HELD_ROWS = 200
const REWRAP_ROWS = 200
const LOOK_ROWS = 2000
/** A message without deliveries is an orphan from this age on; none should ever arise. */
const ORPHAN_AGE_MS = 600_000
const ENDED_KEPT_MS = 86_400_000

const EXPIRE: Statement = {
  name: 'expire-events',
  text: `DELETE FROM event WHERE seq IN (
    SELECT seq FROM event WHERE at < $1::bigint ORDER BY at LIMIT ${EXPIRE_ROWS} FOR UPDATE SKIP LOCKED)`,
}
const EXPIRE_HELD: Statement = {
  name: 'expire-held',
  text: `WITH part AS (SELECT message_id, position FROM delivery
      WHERE owner IS NULL AND held IS NOT NULL AND next_at <= $1::bigint
      ORDER BY next_at LIMIT ${EXPIRE_HELD_ROWS} FOR UPDATE SKIP LOCKED)
    UPDATE delivery AS d SET held = NULL, next_at = $1::bigint,
        ordered = CASE d.ordered WHEN 'deliver' THEN 'drop' ELSE d.ordered END
      FROM part AS s WHERE d.message_id = s.message_id AND d.position = s.position`,
}
const WRAPPED_BY: Statement = {
  name: 'wrapped-by',
  text: `SELECT ${KEY_COLUMNS} FROM message WHERE master_key = $1::text AND master_key <> '' AND id > $2::text
    ORDER BY id LIMIT ${REWRAP_ROWS}`,
}
const REWRAP: Statement = {
  name: 'rewrap',
  text: `UPDATE message AS m SET master_key = $3::text, wrapped_key = decode(t.wrapped, 'hex')
    FROM json_to_recordset($1::json) AS t (id text, wrapped text) WHERE m.id = t.id AND m.master_key = $2::text`,
}
const LOOK: Statement = {
  name: 'orphans-look',
  text: `SELECT max(id) AS last FROM (SELECT id FROM message WHERE id > $1::text ORDER BY id LIMIT ${LOOK_ROWS}) AS m`,
}
const REMOVE_ORPHANS: Statement = {
  name: 'orphans-remove',
  text: `WITH gone AS (
      DELETE FROM message AS m WHERE m.id > $1::text AND m.id <= $2::text AND m.accepted_at < $3::bigint
        AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.message_id = m.id) RETURNING m.body_id),
    chunks AS (DELETE FROM chunk USING gone WHERE chunk.body_id = gone.body_id)
    SELECT count(*) AS messages FROM gone`,
}
const FORGET_NODES: Statement = {
  name: 'forget-nodes',
  text: `DELETE FROM node AS n WHERE n.ended_at < $1::bigint
    AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.owner = n.id)
    AND NOT EXISTS (SELECT FROM upload AS u WHERE u.owner = n.id)`,
}

export function createSweep(deps: UpkeepDeps): QueueStore['sweep'] {
  const { pool, vault, clock, log, bodies, onDue } = deps
  const [current = '', ...former] = vault.masterKeyIds
  /** Per former master key, the last message whose key was looked at: one that is damaged stops no other. */
  const rewrappedUpTo = new Map<string, string>()
  let lookedUpTo = ''

  const ask = async (statement: Statement, values: readonly unknown[]): Promise<Result> => {
    try {
      return await pool.run((connection) => connection.query(statement, values))
    } catch (error) {
      throw faultOf(error)
    }
  }
  const expireHeld = async (): Promise<void> => {
    const { count } = await ask(EXPIRE_HELD, [clock.now()])
    if (count === 0) return
    log.event('queue.held-expired', { deliveries: count })
    onDue()
  }
  const rewrapped = ({ id, masterKey, wrappedKey }: StoredKey): { id: string; wrapped: string }[] => {
    try {
      return [{ id, wrapped: Buffer.from(vault.rewrap(id, masterKey, wrappedKey).wrapped).toString('hex') }]
    } catch (error) {
      // A damaged key: found when its message is due.
      if (error instanceof Fault && error.code === 'spool-unreadable') return []
      throw error
    }
  }
  /** One step; the number of keys that were looked at. */
  const rewrapSome = async (masterKey: string): Promise<number> => {
    const { rows } = await ask(WRAPPED_BY, [masterKey, rewrappedUpTo.get(masterKey) ?? ''])
    const keys = rows.map(keyOf)
    const done = keys.flatMap(rewrapped)
    if (done.length > 0) {
      await ask(REWRAP, [JSON.stringify(done), masterKey, current])
      log.event('queue.rewrapped', { messages: done.length, masterKey: current, formerMasterKey: masterKey })
    }
    const last = keys.at(-1)
    if (last === undefined) rewrappedUpTo.delete(masterKey)
    else rewrappedUpTo.set(masterKey, last.id)
    return keys.length
  }
  /** One step of a walk over all messages that begins anew when it is through. */
  const removeOrphans = async (): Promise<number> => {
    const found = (await ask(LOOK, [lookedUpTo])).rows[0]?.['last']
    const from = lookedUpTo
    lookedUpTo = typeof found === 'string' ? found : ''
    if (lookedUpTo === '') return 0
    const { rows } = await ask(REMOVE_ORPHANS, [from, lookedUpTo, clock.now() - ORPHAN_AGE_MS])
    return integer(rows[0] ?? {}, 'messages')
  }

  return async (budgetMs, { journalMs }) => {
    const end = clock.monotonic() + budgetMs
    const expired = (): boolean => clock.monotonic() >= end
    await expireHeld()
    for (const masterKey of former) while (!expired() && (await rewrapSome(masterKey)) === REWRAP_ROWS);
    const before = clock.now() - journalMs
    let journalEntries = 0
    for (let removed = EXPIRE_ROWS; removed === EXPIRE_ROWS && !expired(); journalEntries += removed) {
      removed = (await ask(EXPIRE, [before])).count
    }
    const orphans = (await bodies.retry()) + (expired() ? 0 : await removeOrphans())
    await ask(FORGET_NODES, [clock.now() - ENDED_KEPT_MS])
    return { journalEntries, orphans }
  }
}
