// One connection to the server that takes writes: found among several hosts, set up so that a commit means what
// we promise, and given up at the first sign that it cannot be trusted. The only file that knows `pg`.
//
// - A commit is never cancelled: one that takes too long costs the connection, and what became of it is unknown.
// - A warning during a commit is a failure: "canceling wait for synchronous replication" (01000, 57P01) means
//   that the transaction is on one server only, although the command succeeds.
// - A transaction goes out as a whole (pipelined): one round trip whatever it holds.
// - `pg` is told no `binary` (it corrupts bytea); octets go out in binary anyway and come back as hex.
import { readFile } from 'node:fs/promises'
import { Client, type ClientConfig } from 'pg'
import type { Clock } from '../../../runtime/clock.ts'
import { withDeadline } from '../../../runtime/deadline.ts'
import { faultText } from '../../../runtime/fault.ts'
import type { DatabaseHost, PostgresAddress } from '../../settings.ts'
import type { Row } from './columns.ts'
import { DatabaseTrouble, troubleOf } from './trouble.ts'

/** A statement that is prepared once for each connection, by its name. */
export interface Statement {
  readonly name: string
  readonly text: string
}

export interface Step {
  readonly statement: Statement
  readonly values: readonly unknown[]
}

export interface Result {
  readonly rows: readonly Row[]
  /** Rows that were returned or changed. */
  readonly count: number
}

export interface Connection {
  /** `host:port`. */
  readonly place: string
  /** Process of the server, and the unique name by which it is found there. */
  readonly pid: number
  readonly label: string
  readonly isOpen: boolean
  /** One statement, its own transaction. Rejects with `DatabaseTrouble`. */
  query(statement: Statement, values?: readonly unknown[], limitMs?: number): Promise<Result>
  /** All steps or none; durable when it resolves. Rejects with the `DatabaseTrouble` of the first step that failed. */
  transaction(steps: readonly Step[], limitMs?: number): Promise<Result[]>
  /** Called once when it is gone, with the reason. */
  onGone(listener: (reason: string) => void): void
  onNotification(listener: (channel: string) => void): void
  /** Gives it up at once. What was under way rejects with `away`. */
  destroy(reason: string): void
}

export interface ConnectionSettings {
  /** What it is for: `commit` promises durability, `read` is for what another commit vouches for. */
  readonly use: 'commit' | 'read'
  readonly label: string
}

const CONNECT_LIMIT_MS = 5000
/** After it nobody knows whether a commit happened (store.md). */
export const COMMIT_LIMIT_MS = 20_000
const SERVER_VERSION_MIN = 150_000
const INT8 = 20

const SEARCH_PATH = 'secure_transport'
const COMMON = `SET search_path = ${SEARCH_PATH}; SET timezone = 'UTC'; SET jit = off; SET lock_timeout = '10s';
  SET idle_in_transaction_session_timeout = '60s'; SET client_connection_check_interval = '5s';`
/** Small tables that grow by a million rows in an hour: a plan made while they were small must not scan them. */
const COMMIT = `SET synchronous_commit = on; SET enable_seqscan = off; SET enable_hashjoin = off;
  SET enable_mergejoin = off;`
/** Chunks of a body that streams in; the commit of its message vouches for them, see body-writer.ts. */
const READ = 'SET synchronous_commit = off;'

const GREETING: Statement = {
  name: '',
  text: `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS readonly,
    current_setting('server_version_num')::integer AS version, current_setting('fsync')::boolean AS fsync`,
}

/** Opens a connection to the first of `hosts` that takes writes. Rejects with `DatabaseTrouble`. */
export async function openConnection(
  clock: Clock,
  address: PostgresAddress,
  hosts: readonly DatabaseHost[],
  settings: ConnectionSettings,
): Promise<Connection> {
  const ssl = await tlsOptions(address)
  const reasons: string[] = []
  for (const host of hosts) {
    const place = host.host.startsWith('/') ? host.host : `${host.host}:${host.port}`
    const { user, password, database } = address
    const client = new Client({
      ...host,
      user,
      password,
      database,
      ssl,
      application_name: settings.label,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      pipeline: true,
    })
    const connection = new ServerConnection(clock, client, place, settings.label)
    try {
      await connection.open(settings.use)
      return connection
    } catch (error) {
      connection.destroy('not used')
      reasons.push(`${place}: ${faultText(error)}`)
    }
  }
  throw new DatabaseTrouble('away', `no server takes writes: ${reasons.join('; ')}`)
}

async function tlsOptions({
  tls,
  authorityFile,
}: PostgresAddress): Promise<NonNullable<ClientConfig['ssl']>> {
  if (tls === 'disable') return false
  const ca = authorityFile === null ? {} : { ca: await readFile(authorityFile, 'utf8') }
  return { minVersion: 'TLSv1.2', rejectUnauthorized: tls === 'verify-full', ...ca }
}

class ServerConnection implements Connection {
  readonly place: string
  readonly label: string
  readonly #clock: Clock
  readonly #client: Client
  readonly #goneListeners: ((reason: string) => void)[] = []
  readonly #notificationListeners: ((channel: string) => void)[] = []
  #pid = 0
  #gone: string | null = null
  /** A warning that came since the last question was asked. */
  #warning: string | null = null

  constructor(clock: Clock, client: Client, place: string, label: string) {
    this.#clock = clock
    this.#client = client
    this.place = place
    this.label = label
    client.setTypeParser(INT8, (digits: string) => Number(digits))
    client.on('error', (error) => this.destroy(faultText(error)))
    client.on('end', () => this.destroy('the server closed the connection'))
    client.on('notice', ({ code, message }) => {
      if (code === '01000' || code === '57P01') this.#warning = faultText(message)
    })
    client.on('notification', ({ channel }) => {
      for (const listener of this.#notificationListeners) listener(channel)
    })
  }

  async open(use: ConnectionSettings['use']): Promise<void> {
    const connected = withDeadline(
      this.#clock,
      CONNECT_LIMIT_MS,
      'connecting to the database',
      this.#client.connect(),
      () => this.destroy('connecting took too long'),
    )
    await connected
    const { rows } = await this.query(GREETING, [], CONNECT_LIMIT_MS)
    const [{ readonly = true, version = 0, fsync = false } = {}] = rows
    if (readonly !== false) throw new DatabaseTrouble('away', 'it is a standby, or read-only')
    if (fsync !== true) throw new DatabaseTrouble('away', 'fsync is off: it keeps no promise')
    if (typeof version !== 'number' || version < SERVER_VERSION_MIN) {
      throw new DatabaseTrouble('away', `PostgreSQL 15 or newer is needed, this is ${version}`)
    }
    await this.query({ name: '', text: COMMON + (use === 'commit' ? COMMIT : READ) }, [], CONNECT_LIMIT_MS)
    const identity = await this.query({ name: '', text: 'SELECT pg_backend_pid() AS pid' })
    this.#pid = Number(identity.rows[0]?.['pid'])
  }

  get pid(): number {
    return this.#pid
  }

  get isOpen(): boolean {
    return this.#gone === null
  }

  async query(
    statement: Statement,
    values: readonly unknown[] = [],
    limitMs = COMMIT_LIMIT_MS,
  ): Promise<Result> {
    const [result] = await this.#guarded(limitMs, [this.#send(statement, values)])
    if (result === undefined) throw new DatabaseTrouble('away', 'a question without an answer')
    return result
  }

  async transaction(steps: readonly Step[], limitMs = COMMIT_LIMIT_MS): Promise<Result[]> {
    if (steps.length === 1 && steps[0] !== undefined) {
      return [await this.query(steps[0].statement, steps[0].values, limitMs)]
    }
    const sent = [this.#send({ name: '', text: 'BEGIN' }, [])]
    for (const { statement, values } of steps) sent.push(this.#send(statement, values))
    sent.push(this.#send({ name: '', text: 'COMMIT' }, []))
    const results = await this.#guarded(limitMs, sent)
    return results.slice(1, -1)
  }

  #send({ name, text }: Statement, values: readonly unknown[]): Promise<Result> {
    if (this.#gone !== null) return Promise.reject(new DatabaseTrouble('away', this.#gone))
    const question = {
      text,
      ...(values.length > 0 ? { values: [...values] } : {}),
      ...(name ? { name } : {}),
    }
    return this.#client.query(question).then(({ rows, rowCount, command }) => {
      // What COMMIT answers in a transaction that has failed; its step has rejected already.
      if (text === 'COMMIT' && command !== 'COMMIT') throw new DatabaseTrouble('again', 'rolled back')
      return { rows: rows ?? [], count: rowCount ?? 0 }
    })
  }

  /** Waits for all of `sent`, with a deadline, and looks for warnings. */
  async #guarded(limitMs: number, sent: readonly Promise<Result>[]): Promise<Result[]> {
    this.#warning = null
    const onExpire = (): void => this.destroy(`no answer within ${limitMs} ms`)
    try {
      const settled = await withDeadline(
        this.#clock,
        limitMs,
        'the database',
        Promise.allSettled(sent),
        onExpire,
      )
      const results: Result[] = []
      for (const one of settled) {
        if (one.status === 'rejected') throw one.reason
        results.push(one.value)
      }
      if (this.#warning !== null) {
        this.destroy(this.#warning)
        throw new DatabaseTrouble('away', `committed with a warning: ${this.#warning}`)
      }
      return results
    } catch (error) {
      const trouble = troubleOf(error)
      if (trouble.kind === 'away') this.destroy(trouble.message)
      throw trouble
    }
  }

  onGone(listener: (reason: string) => void): void {
    if (this.#gone !== null) listener(this.#gone)
    else this.#goneListeners.push(listener)
  }

  onNotification(listener: (channel: string) => void): void {
    this.#notificationListeners.push(listener)
  }

  destroy(reason: string): void {
    if (this.#gone !== null) return
    this.#gone = reason
    this.#client.connection.stream.destroy()
    for (const listener of this.#goneListeners) listener(reason)
  }
}
