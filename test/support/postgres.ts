// Private PostgreSQL servers on 127.0.0.1, in directories of their own, as an unprivileged user (they refuse
// root): one alone, or a primary with a synchronous standby that a test can promote after it killed the primary.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { requirePart } from './parts.ts'
import { freePort } from './ports.ts'

const START_LIMIT_MS = 20_000
const USER = 'gateway'
const ACCESS = `host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
`

export interface PostgresServer {
  readonly port: number
  /** A new, empty database; its URL as the configuration takes it. */
  createDatabase(): Promise<string>
  /** Runs SQL in a database given by its URL (or the maintenance one); rows as lines, columns parted by `|`. */
  sql(text: string, url?: string): Promise<string>
  /** All rows of these tables as raw octets. */
  octets(tables: readonly string[], url: string): Promise<Buffer>
  /** kill -9 of all its processes. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT for all its processes. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Starts again after `kill` or `stop`. */
  start(): Promise<void>
  stop(): Promise<void>
  /** A standby becomes a primary of its own, which commits alone. */
  promote(): Promise<void>
  /** Stops and removes the directory. */
  dispose(): Promise<void>
}

/** `urls`: for a database, both servers in one URL, as the configuration takes it. */
export interface PostgresPair {
  readonly primary: PostgresServer
  readonly standby: PostgresServer
  createDatabase(): Promise<string>
  dispose(): Promise<void>
}

interface Account {
  readonly uid: number
  readonly gid: number
}

const run = promisify(execFile)

/** Who runs the servers: `postgres` for root, else whoever runs the tests. */
async function account(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null
  const line = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return { uid: Number(uid), gid: Number(gid) }
}

class Server implements PostgresServer {
  readonly port: number
  readonly directory: string
  readonly #programs: string
  readonly #account: Account | null
  readonly #settings: string[]
  #child: ChildProcess | null = null
  #log = ''

  constructor(
    parts: { programs: string; account: Account | null; directory: string; port: number },
    settings: string[],
  ) {
    this.#programs = parts.programs
    this.#account = parts.account
    this.directory = parts.directory
    this.port = parts.port
    this.#settings = settings
  }

  async program(name: string, args: readonly string[], input?: string): Promise<Buffer> {
    const options = { ...this.#account, cwd: tmpdir(), maxBuffer: 2 ** 28, encoding: 'buffer' } as const
    const running = run(join(this.#programs, name), args, options)
    if (input !== undefined) running.child.stdin?.end(input)
    return (await running).stdout
  }

  /** Writes a file of the data directory. */
  async place(name: string, content: string): Promise<void> {
    const path = join(this.directory, 'data', name)
    await writeFile(path, content, { mode: 0o600 })
    if (this.#account !== null) await chown(path, this.#account.uid, this.#account.gid)
  }

  async start(): Promise<void> {
    const settings = [
      'listen_addresses=127.0.0.1',
      `port=${this.port}`,
      `unix_socket_directories=${this.directory}`,
      'max_connections=60',
      'shared_buffers=32MB',
      'wal_level=replica',
      'max_wal_senders=4',
      'hot_standby=on',
      ...this.#settings,
    ]
    const args = ['-D', join(this.directory, 'data'), ...settings.flatMap((setting) => ['-c', setting])]
    // In a process group of its own: so that a kill reaches every backend, as a loss of power would.
    const child = spawn(join(this.#programs, 'postgres'), args, {
      ...this.#account,
      cwd: this.directory,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    this.#child = child
    child.stderr?.on('data', (chunk) => {
      this.#log = (this.#log + chunk).slice(-4000)
    })
    await eventually(
      'the PostgreSQL server',
      START_LIMIT_MS,
      () => this.#answers(),
      () => this.#log,
    )
  }

  async #answers(): Promise<true | null> {
    try {
      await this.program('pg_isready', ['-q', '-h', '127.0.0.1', '-p', String(this.port)])
      return true
    } catch {
      return null // it says so by its exit code
    }
  }

  async createDatabase(): Promise<string> {
    const name = `test_${randomBytes(6).toString('hex')}`
    await this.sql(`CREATE DATABASE ${name} OWNER ${USER}`)
    return `postgres://${USER}@127.0.0.1:${this.port}/${name}`
  }

  async sql(text: string, url?: string): Promise<string> {
    return (await this.#psql(text, url)).toString().trimEnd()
  }

  async octets(tables: readonly string[], url: string): Promise<Buffer> {
    const parts = tables.map((table) => this.#psql(`COPY ${table} TO STDOUT (FORMAT binary)`, url))
    return Buffer.concat(await Promise.all(parts))
  }

  #psql(text: string, url?: string): Promise<Buffer> {
    const database = url === undefined ? 'postgres' : (/\/([^/?]+)(?:\?|$)/.exec(url)?.[1] ?? '')
    const place = ['-h', '127.0.0.1', '-p', String(this.port), '-U', 'postgres', '-d', database]
    const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...place]
    return this.program('psql', args, text)
  }

  /** The server and its children, which are in sessions of their own. */
  async #processes(): Promise<number[]> {
    const { pid } = this.#child ?? {}
    if (pid === undefined) return []
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    return [pid, ...children.trim().split(/\s+/).filter(Boolean).map(Number)]
  }

  async #signal(signal: NodeJS.Signals): Promise<number[]> {
    const processes = await this.#processes()
    for (const target of processes) {
      try {
        process.kill(target, signal)
      } catch {
        // it ended by itself meanwhile
      }
    }
    return processes
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async pause(): Promise<void> {
    await this.#signal('SIGSTOP')
  }

  async resume(): Promise<void> {
    await this.#signal('SIGCONT')
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'exit')
    // Fast shutdown: connections are ended.
    child.kill('SIGINT')
    await closed
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'exit')
    const processes = await this.#signal(signal)
    await closed
    // The next start needs their shared memory to be gone.
    await eventually('the end of all its processes', START_LIMIT_MS, () =>
      processes.some((pid) => existsSync(`/proc/${pid}`)) ? null : true,
    )
  }

  async promote(): Promise<void> {
    await this.sql(`SELECT pg_promote(true, 30)`)
  }

  async dispose(): Promise<void> {
    await this.resume()
    await this.#end('SIGKILL')
    await rm(this.directory, { recursive: true, force: true })
  }
}

async function prepare(settings: string[]): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), 'st-postgres-'))
  const owner = await account()
  if (owner !== null) await chown(directory, owner.uid, owner.gid)
  const programs = dirname(requirePart('postgres').path)
  return new Server({ programs, account: owner, directory, port: await freePort() }, settings)
}

/** A server with nobody else on it; with `tls` it offers TLS. Role `locked` needs the password `correct horse`. */
export async function startPostgres(tls?: { certificate: string; key: string }): Promise<PostgresServer> {
  const server = await prepare(tls === undefined ? [] : ['ssl=on'])
  await initialise(server, tls)
  return server
}

async function initialise(server: Server, tls?: { certificate: string; key: string }): Promise<void> {
  try {
    const data = join(server.directory, 'data')
    await server.program('initdb', ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync', '-E', 'UTF8'])
    if (tls !== undefined) {
      await server.place('server.crt', tls.certificate)
      await server.place('server.key', tls.key)
    }
    await server.place('pg_hba.conf', ACCESS)
    await server.start()
    await server.sql(`CREATE ROLE ${USER} LOGIN IN ROLE pg_monitor;
      CREATE ROLE locked LOGIN PASSWORD 'correct horse' IN ROLE ${USER}`)
  } catch (error) {
    await server.dispose()
    throw error
  }
}

/** A primary whose commits wait for a standby. After its promotion the standby commits alone. */
export async function startPostgresPair(): Promise<PostgresPair> {
  const primary = await prepare([])
  const standby = await prepare(['synchronous_standby_names='])
  const dispose = async (): Promise<void> => {
    await standby.dispose()
    await primary.dispose()
  }
  await initialise(primary)
  try {
    const data = join(standby.directory, 'data')
    const source = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
    await standby.program('pg_basebackup', [
      '-D',
      data,
      '-R',
      '-X',
      'stream',
      '-c',
      'fast',
      '--no-sync',
      ...source,
    ])
    await standby.start()
    await primary.sql(`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'; SELECT pg_reload_conf()`)
    await eventually('the synchronous standby', START_LIMIT_MS, async () => {
      const states = await primary.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'")
      return states === 'quorum' ? true : null
    })
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    primary,
    standby,
    dispose,
    async createDatabase() {
      const url = await primary.createDatabase()
      return url.replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`)
    },
  }
}
