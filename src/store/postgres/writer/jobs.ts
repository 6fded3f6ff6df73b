// What is committed in groups: mail that comes in, results, journal entries. A batch of them becomes one
// transaction of at most six statements, sent in one go; their number does not grow with the batch.

import type { SettleResult } from '../../../queue/store.ts'
import type { EventRow } from '../../record.ts'
import type { ClaimKey } from '../cluster/ledger.ts'
import { REQUIRE_STANDBY } from '../cluster/standby.ts'
import type { Result, Statement, Step } from '../session/connection.ts'
import { addEvents, addMessage, emptyRowSet, insertRows, type NewRecord, rowValues } from './message-rows.ts'
import { createOctetPack } from './pack.ts'

export interface EnqueueJob {
  readonly kind: 'enqueue'
  readonly record: NewRecord
  /** The run that it is leased to, `null` for none. */
  readonly owner: number | null
  readonly dueAt: number
  readonly events: readonly EventRow[]
}

export interface SettleRow extends ClaimKey {
  readonly events: readonly EventRow[]
  readonly notices: readonly NewRecord[]
  /** `null`: done, the delivery goes away. */
  readonly later: {
    readonly nextAt: number
    readonly attempts: number
    readonly cause: string | null
    /** Why it is put aside, `null` when it is not. */
    readonly held: string | null
    /** Sealed; `null`: left as it is. */
    readonly state: Uint8Array | null
  } | null
}

export interface SettleJob {
  readonly kind: 'settle'
  readonly rows: readonly SettleRow[]
  readonly owner: number
  readonly now: number
}

export interface AppendJob {
  readonly kind: 'append'
  readonly events: readonly EventRow[]
}

export type Job = EnqueueJob | SettleJob | AppendJob

/** Octets that a job sends, for the bound of a batch. */
export function octetsOf(job: Job): number {
  if (job.kind === 'enqueue') return recordOctets(job.record)
  if (job.kind === 'append') return 0
  return job.rows.flatMap(({ notices }) => notices).reduce((sum, notice) => sum + recordOctets(notice), 0)
}

const recordOctets = ({ envelope, body }: NewRecord): number =>
  body.reduce((sum, { length }) => sum + length, envelope.length)

const ENQUEUE: Statement = { name: 'enqueue', text: `WITH ${insertRows('')} SELECT` }

/** Bodies that streamed in belong to their messages from here on. Fails (22012) when a part of one is not there. */
const ADOPT: Statement = {
  name: 'adopt',
  text: `WITH stored AS (
      SELECT t.* FROM json_to_recordset($1::json) AS t (id text, body_id text, chunks int)
        JOIN message AS m ON m.id = t.id AND m.body_id = t.body_id),
    adopted AS (DELETE FROM upload AS u USING stored AS s WHERE u.body_id = s.body_id RETURNING 1)
    SELECT 1 / (CASE WHEN (SELECT count(*) FROM adopted) = (SELECT count(*) FROM stored)
      AND NOT EXISTS (SELECT FROM stored AS s
        WHERE s.chunks <> (SELECT count(*) FROM chunk AS c WHERE c.body_id = s.body_id)) THEN 1 ELSE 0 END)`,
}

/** Whoever settles the last deliveries of a message must see each other: one of them removes it. */
const LOCK: Statement = {
  name: 'settle-lock',
  text: 'SELECT FROM message WHERE id = ANY($1::text[]) AND recipients > 1 ORDER BY id FOR UPDATE',
}
/** By primary key: `IS TRUE` keeps the planner from the index by owner, which holds thousands for one owner. */
const SETTLE: Statement = {
  name: 'settle',
  text: `WITH given AS MATERIALIZED (
      SELECT * FROM json_to_recordset($6::json) AS t (number int, message_id text, position int, token bigint,
        owner bigint, done boolean, next_at bigint, attempts int, cause text, held text, "from" int, size int)),
    finished AS (
      DELETE FROM delivery AS d USING given AS g
       WHERE g.done AND d.message_id = g.message_id AND d.position = g.position AND (d.owner = g.owner) IS TRUE
         AND d.token = g.token
      RETURNING g.number),
    postponed AS (
      UPDATE delivery AS d SET owner = NULL, next_at = g.next_at, attempts = g.attempts, cause = g.cause,
          held = g.held,
          state = CASE WHEN g.size IS NULL THEN d.state ELSE substring($1::bytea FROM g."from" FOR g.size) END
        FROM given AS g
       WHERE NOT g.done AND d.message_id = g.message_id AND d.position = g.position AND (d.owner = g.owner) IS TRUE
         AND d.token = g.token
      RETURNING g.number),
    hit AS MATERIALIZED (SELECT number FROM finished UNION ALL SELECT number FROM postponed),
    ${insertRows('JOIN hit ON hit.number = t.number')}
    SELECT number FROM hit`,
}
/** Messages whose last delivery went, with their bodies. */
const REMOVE: Statement = {
  name: 'settle-remove',
  text: `WITH gone AS (
      DELETE FROM message AS m WHERE m.id = ANY($1::text[])
        AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.message_id = m.id)
      RETURNING m.body_id)
    DELETE FROM chunk USING gone WHERE chunk.body_id = gone.body_id`,
}

export interface Batch {
  readonly steps: readonly Step[]
  /** What each settle job of the batch is answered, from the results of the steps. */
  resultsOf(job: SettleJob, results: readonly Result[]): SettleResult[]
}

/** `requireStandby`: new mail must not be committed by a server that stands alone. */
export function batchOf(jobs: readonly Job[], requireStandby: boolean): Batch {
  const enqueues = jobs.filter((job) => job.kind === 'enqueue')
  const settles = jobs.filter((job) => job.kind === 'settle')
  const appends = jobs.filter((job) => job.kind === 'append')
  const steps: Step[] = []
  if (enqueues.length + appends.length > 0) {
    if (requireStandby && enqueues.length > 0) steps.push(REQUIRE_STANDBY)
    steps.push(enqueueStep(enqueues, appends))
  }
  const settling = settleSteps(settles)
  const at = steps.length + settling.at
  const notices = settles.flatMap(({ rows }) => rows).flatMap((row) => row.notices)
  steps.push(...settling.steps, ...adoptSteps([...enqueues.map(({ record }) => record), ...notices]))
  return {
    steps,
    resultsOf(job, results) {
      const hits = new Set((results[at]?.rows ?? []).map((row) => row['number']))
      return job.rows.map((row) => (hits.has(settling.numbers.get(row)) ? 'ok' : 'fenced'))
    },
  }
}

function enqueueStep(enqueues: readonly EnqueueJob[], appends: readonly AppendJob[]): Step {
  const rows = emptyRowSet()
  const pack = createOctetPack()
  for (const { record, owner, dueAt, events } of enqueues) {
    addMessage(rows, pack, record, { number: 0, owner, dueAt })
    addEvents(rows, events, 0)
  }
  for (const { events } of appends) addEvents(rows, events, 0)
  return { statement: ENQUEUE, values: rowValues(rows, pack) }
}

function adoptSteps(records: readonly NewRecord[]): Step[] {
  const streamed = records.flatMap(({ id, bodyId, chunks }) =>
    chunks === null ? [] : [{ id, body_id: bodyId, chunks }],
  )
  return streamed.length === 0 ? [] : [{ statement: ADOPT, values: [JSON.stringify(streamed)] }]
}

function settleSteps(settles: readonly SettleJob[]) {
  const rows = emptyRowSet()
  const pack = createOctetPack()
  const given: unknown[] = []
  const numbers = new Map<SettleRow, number>()
  const seen = new Set<string>()
  const done = new Set<string>()
  for (const { rows: settled, owner, now } of settles) {
    for (const row of settled) {
      const { messageId, position, token, later } = row
      const identity = `${messageId}:${position}:${token}`
      // The same result twice: the first one counts.
      if (seen.has(identity)) continue
      seen.add(identity)
      const number = given.length
      numbers.set(row, number)
      if (later === null) done.add(messageId)
      const place = later?.state == null ? null : pack.add([later.state])
      given.push({
        number,
        message_id: messageId,
        position,
        token,
        owner,
        done: later === null,
        ...(later === null
          ? {}
          : { next_at: later.nextAt, attempts: later.attempts, cause: later.cause, held: later.held }),
        ...(place ?? {}),
      })
      for (const notice of row.notices) addMessage(rows, pack, notice, { number, owner: null, dueAt: now })
      addEvents(rows, row.events, number)
    }
  }
  if (given.length === 0) return { steps: [], at: 0, numbers }
  const ids = [...done]
  const settle = { statement: SETTLE, values: [...rowValues(rows, pack), JSON.stringify(given)] }
  if (ids.length === 0) return { steps: [settle], at: 0, numbers }
  return {
    steps: [{ statement: LOCK, values: [ids] }, settle, { statement: REMOVE, values: [ids] }],
    at: 1,
    numbers,
  }
}

/** Messages that the job would store for somebody who waits for the answer. */
export const refusedBy = (job: Job): string[] => (job.kind === 'enqueue' ? [job.record.id] : [])
