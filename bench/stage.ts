// Everything around a measurement: a directory, certificates, the sink, the clients and the server between them.
// All of it is new for each measurement and gone afterwards.
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createAuthority } from '../test/support/authority.ts'
import { startClients, startSink } from './load/helpers.ts'
import type { LoadResult, SinkCount } from './load/protocol.ts'
import type { StartServer } from './servers/server.ts'
import { type Amount, envelope, type Workload } from './workloads.ts'

export interface StageSettings {
  readonly start: StartServer
  /** Directory on the disk that is to be measured. */
  readonly directory: string
  readonly scanner: { readonly address: string; readonly pid: number } | null
}

export interface Stage {
  /** Process ids whose trees are the whole server, its scanner included. */
  readonly roots: readonly number[]
  /** Sends, waits until as many have arrived at the sink, and fails when a client met an unexpected reply. */
  run(workload: Workload, amount: Amount, pauseMs?: number): Promise<{ loaded: LoadResult; count: SinkCount }>
  /** Opens so many sessions that are logged in and do nothing; they stay until the stage is closed. */
  hold(sessions: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Time for what a server does after the last reply: it is its work, too. */
export const SETTLE_MS = 700
const ADDRESS = '127.0.0.1'
const LOAD_LIMIT_MS = 10 * 60_000

export async function openStage({ start, directory: parent, scanner }: StageSettings): Promise<Stage> {
  await using opening = new AsyncDisposableStack()
  const directory = await mkdtemp(join(parent, 'bench-'))
  opening.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  await chmod(directory, 0o755) // Postfix's own user must be able to pass
  const authority = await createAuthority(directory)
  const certificate = await authority.issue(['localhost', 'sink.test', ADDRESS])
  const sink = await startSink(ADDRESS, certificate)
  opening.defer(sink.stop)
  const clients = startClients()
  opening.defer(clients.stop)
  const password = randomBytes(12).toString('hex')
  await mkdir(join(directory, 'server'), { mode: 0o755 })
  const server = await start({
    directory: join(directory, 'server'),
    sink: { host: ADDRESS, port: sink.port },
    certificate,
    authority: authority.certificate,
    password,
    scanner: scanner?.address ?? null,
  })
  opening.defer(server.stop)
  const opened = opening.move()
  const login = { server: server.submission, login: envelope.login, password }
  return {
    roots: scanner === null ? server.roots : [...server.roots, scanner.pid],
    async run(workload, amount, pauseMs = 0) {
      const { sizeBytes, mailsPerConnection } = workload
      const { reversePath, forwardPath } = envelope
      await sink.reset()
      const loaded = await clients.load(
        {
          kind: 'load',
          ...login,
          ...{ reversePath, forwardPath, sizeBytes, mailsPerConnection, amount, pauseMs },
          clients: workload.clients,
        },
        LOAD_LIMIT_MS,
      )
      if (loaded.failures > 0)
        throw new Error(`${workload.name}: clients failed: ${loaded.complaints.join(' | ')}`)
      return { loaded, count: await sink.arrived(loaded.acceptedAt.length, LOAD_LIMIT_MS) }
    },
    async hold(sessions) {
      const held = await clients.hold({ kind: 'hold', ...login, sessions }, LOAD_LIMIT_MS)
      if (held.failures > 0) throw new Error(`sessions failed: ${held.complaints.join(' | ')}`)
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}
