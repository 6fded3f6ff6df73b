// The statements of membership.ts.
import type { Statement } from '../session/connection.ts'

/** First half of the advisory locks by which a process is known to be gone. */
const LOCK_CLASS = 7_250_002
const CHANNEL = 'secure_transport_due'

export const LISTEN: Statement = { name: '', text: `LISTEN ${CHANNEL}` }
/** Work became due through somebody else. Never in the path of acceptance (store.md: it costs 3/4 of the rate). */
export const NOTIFY: Statement = { name: '', text: `NOTIFY ${CHANNEL}` }

/** Held as long as the connection, and so the process, lives. The id stays far below 2^31. */
export const HOLD: Statement = {
  name: '',
  text: `SELECT pg_try_advisory_lock(${LOCK_CLASS}, $1::integer)`,
}

/**
 * Former runs of this node whose process is gone for sure: no need to wait. One that still holds its lock is
 * another gateway with the same name, by mistake; it is left alone.
 */
export const END_FORMER: Statement = {
  name: '',
  text: `UPDATE node SET ended_at = $2::bigint
    WHERE id IN (SELECT id FROM (SELECT id FROM node WHERE name = $1::text AND ended_at IS NULL OFFSET 0) AS former
                  WHERE pg_try_advisory_xact_lock(${LOCK_CLASS}, id::integer))`,
}
export const BEGIN_RUN: Statement = {
  name: '',
  text: 'INSERT INTO node (name, started_at) VALUES ($1::text, $2::bigint) RETURNING id',
}
export const BEAT: Statement = {
  name: 'beat',
  text: 'UPDATE node SET beat = beat + 1 WHERE id = $1::bigint AND ended_at IS NULL',
}
export const OTHERS: Statement = {
  name: 'others',
  text: 'SELECT id, name, beat FROM node WHERE ended_at IS NULL AND id <> $1::bigint',
}
/** Unless it gave a sign at the last moment. */
export const END_SILENT: Statement = {
  name: 'end-silent',
  text: 'UPDATE node SET ended_at = $3::bigint WHERE id = $1::bigint AND beat = $2::bigint AND ended_at IS NULL',
}
export const END_RUN: Statement = {
  name: '',
  text: 'UPDATE node SET ended_at = $2::bigint WHERE id = $1::bigint AND ended_at IS NULL',
}

export const RELEASE_ROWS = 1000
export const RELEASE: Statement = {
  name: 'release-ended',
  text: `WITH part AS (
      SELECT d.message_id, d.position FROM node AS n JOIN delivery AS d ON d.owner = n.id
       WHERE n.ended_at IS NOT NULL LIMIT ${RELEASE_ROWS} FOR UPDATE OF d SKIP LOCKED)
    UPDATE delivery AS d SET owner = NULL, next_at = $1::bigint FROM part AS s
     WHERE d.message_id = s.message_id AND d.position = s.position`,
}
export const REMOVE_UPLOADS: Statement = {
  name: 'remove-uploads',
  text: `WITH gone AS (
      DELETE FROM upload AS u USING node AS n WHERE n.id = u.owner AND n.ended_at IS NOT NULL RETURNING u.body_id),
    chunks AS (DELETE FROM chunk USING gone WHERE chunk.body_id = gone.body_id)
    SELECT count(*) AS uploads FROM gone`,
}
