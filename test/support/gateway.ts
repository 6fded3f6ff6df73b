// The real gateway as a process of its own, started by its command line as an operator would: for tests that
// send real mail through it, kill it, and look at what it logged.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { systemRandom } from '../../src/runtime/random.ts'
import { makeSelfSigned } from '../../src/trial/certificate.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** One line of the gateway's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string }

export interface Gateway {
  /** Port of the STARTTLS listener and of the implicit one. */
  readonly port: number
  readonly implicitPort: number
  readonly httpPort: number
  readonly directory: string
  readonly configPath: string
  /** PEM file that trusts the listeners' certificate (made for `localhost` and `gw.test`). */
  readonly certificatePath: string
  readonly pid: number
  readonly events: readonly LogLine[]
  /** Everything that its processes wrote to standard error. */
  readonly stderr: string
  /** The first logged event that matches, past or to come; rejects after `limitMs`. */
  event(matches: (line: LogLine) => boolean, limitMs?: number): Promise<LogLine>
  /** Runs a command of the command line with this gateway's configuration. */
  command(args: readonly string[], input?: string): Promise<{ code: number; stdout: string; stderr: string }>
  /** SIGTERM and wait; the exit code. */
  stop(): Promise<number | null>
  /** kill -9 and wait. */
  kill(): Promise<void>
  /** Starts again on the same data and ports. */
  restart(): Promise<void>
  /** Stops and removes the directory. */
  dispose(): Promise<void>
}

export interface GatewayOptions {
  /** YAML that is added to the configuration, e.g. `delivery:` and `partners:`. */
  readonly yaml: string
  readonly hostname?: string
  /** Options of `serve`. */
  readonly serve?: readonly string[]
  readonly accounts?: readonly { name: string; domains: readonly string[]; login: string; password: string }[]
  /** Instead of ports of the system's choice, which somebody else may be given while the gateway is down. */
  readonly ports?: { readonly starttls: number; readonly implicit: number; readonly http: number }
}

const START_LIMIT_MS = 30_000

/** Starts a gateway with a data directory of its own on free ports of 127.0.0.1. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const directory = await mkdtemp(join(tmpdir(), 'st-gateway-'))
  const pair = makeSelfSigned(['localhost', 'gw.test'], { now: Date.now(), days: 10, random: systemRandom })
  const certificatePath = join(directory, 'chain.pem')
  await mkdir(join(directory, 'data'))
  await Promise.all([
    writeFile(certificatePath, pair.certificatePem),
    writeFile(join(directory, 'key.pem'), pair.keyPem, { mode: 0o600 }),
  ])
  const configPath = join(directory, 'secure-transport.yaml')
  const state = {
    events: [] as LogLine[],
    stderr: '',
    child: null as ChildProcess | null,
    wake: new Set<() => void>(),
  }
  let ports = options.ports ?? { starttls: 0, implicit: 0, http: 0 }

  const writeConfig = (): Promise<void> =>
    writeFile(
      configPath,
      `hostname: ${options.hostname ?? 'gw.test'}
dataDirectory: data
listeners:
  - { address: 127.0.0.1, port: ${ports.starttls}, encryption: starttls }
  - { address: 127.0.0.1, port: ${ports.implicit}, encryption: implicit }
certificates:
  - { chain: chain.pem, key: key.pem }
http: { address: 127.0.0.1, port: ${ports.http} }
${options.yaml}
`,
    )

  const command: Gateway['command'] = async (args, input = '') => {
    const child = spawn(process.execPath, [MAIN, ...args, '--config', configPath], { stdio: 'pipe' })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const [code] = await once(child, 'close')
    return { code, stdout, stderr }
  }

  const event: Gateway['event'] = (matches, limitMs = START_LIMIT_MS) =>
    new Promise((resolve, reject) => {
      let looked = 0
      const timer = setTimeout(() => {
        state.wake.delete(look)
        const last = state.events.slice(-8).map((line) => JSON.stringify(line))
        reject(new Error(`no such event within ${limitMs} ms; the last were:\n${last.join('\n')}`))
      }, limitMs)
      const look = (): void => {
        for (; looked < state.events.length; looked++) {
          const line = state.events[looked]
          if (line === undefined || !matches(line)) continue
          clearTimeout(timer)
          state.wake.delete(look)
          resolve(line)
          return
        }
      }
      state.wake.add(look)
      look()
    })

  const launch = async (): Promise<void> => {
    const before = state.events.length
    const child = spawn(process.execPath, [MAIN, 'serve', '--config', configPath, ...(options.serve ?? [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    state.child = child
    let problems = ''
    child.stderr?.on('data', (chunk) => {
      problems += chunk
      state.stderr += chunk
    })
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (child.killed && !line.endsWith('}')) return // the last line of a killed process may break off
        state.events.push(JSON.parse(line))
        for (const wake of [...state.wake]) wake()
      })
    }
    const gone = once(child, 'exit').then(([code]) => {
      throw new Error(`the gateway ended with ${code} at its start: ${problems}`)
    })
    gone.catch(() => undefined)
    const started = event((line) => line.event === 'relay.started' && state.events.indexOf(line) >= before)
    const line = await Promise.race([started, gone])
    const portOf = (encryption: string): number =>
      Number(new RegExp(`:([0-9]+)/${encryption}`).exec(String(line['listeners']))?.[1])
    ports = {
      starttls: portOf('starttls'),
      implicit: portOf('implicit'),
      http: Number(/:([0-9]+)$/.exec(String(line['http']))?.[1]),
    }
  }

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const child = state.child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const closed = once(child, 'close')
    child.kill(signal)
    const [code] = await closed
    return code
  }

  await writeConfig()
  for (const { name, domains, login, password } of options.accounts ?? []) {
    const licences = domains.flatMap((domain) => ['--domain', domain])
    const added = await command(
      ['account', 'add', name, ...licences, '--login', login, '--password-stdin'],
      password,
    )
    if (added.code !== 0) throw new Error(`account add failed: ${added.stderr}${added.stdout}`)
  }
  await launch()
  await writeConfig()
  return {
    get port() {
      return ports.starttls
    },
    get implicitPort() {
      return ports.implicit
    },
    get httpPort() {
      return ports.http
    },
    get pid() {
      return state.child?.pid ?? -1
    },
    get stderr() {
      return state.stderr
    },
    directory,
    configPath,
    certificatePath,
    events: state.events,
    event,
    command,
    stop: () => end('SIGTERM'),
    async kill() {
      await end('SIGKILL')
    },
    restart: launch,
    async dispose() {
      await end('SIGTERM')
      await rm(directory, { recursive: true, force: true })
    },
  }
}
