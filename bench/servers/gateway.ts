// Our gateway, started by its command line as an operator would start it, with policy, anonymisation and queue as
// shipped; only limits that a single client address would meet are raised.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { eventually } from '../../test/support/eventually.ts'
import { freePort } from '../../test/support/ports.ts'
import { envelope } from '../workloads.ts'
import type { BenchServer, ServerSettings } from './server.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const START_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 60_000

export async function startGatewayServer(settings: ServerSettings): Promise<BenchServer> {
  const { directory } = settings
  const port = await freePort()
  const configuration = join(directory, 'secure-transport.yaml')
  await mkdir(join(directory, 'data'), { mode: 0o700 })
  await writeFile(configuration, stringify(configurationOf(settings, port)))
  await addAccount(configuration, settings.password)
  const log = await open(join(directory, 'log.jsonl'), 'w')
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', configuration], {
    stdio: ['ignore', log.fd, log.fd],
  })
  await log.close()
  const ended = once(child, 'exit')
  const endWithUs = (): void => void child.kill('SIGKILL')
  process.once('exit', endWithUs)
  const stop = async (): Promise<void> => {
    process.off('exit', endWithUs)
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
    await ended
    clearTimeout(force)
  }
  const explain = async (): Promise<string> =>
    (await readFile(join(directory, 'log.jsonl'), 'utf8')).slice(-4000)
  try {
    await eventually(
      'the gateway listens',
      START_LIMIT_MS,
      async () => {
        if (child.exitCode !== null) throw new Error(`the gateway ended at once:\n${await explain()}`)
        return isListening(port)
      },
      explain,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { submission: { host: '127.0.0.1', port }, roots: child.pid === undefined ? [] : [child.pid], stop }
}

function configurationOf({ certificate, authority, sink, scanner }: ServerSettings, port: number): unknown {
  const hosts = [`${sink.host}:${sink.port}`]
  return {
    hostname: 'gateway.bench.test',
    dataDirectory: 'data',
    listeners: [{ address: '127.0.0.1', port, encryption: 'starttls' }],
    certificates: [certificate],
    submission: { sessionsPerClientMax: 20_000, sessionsMax: 20_000 },
    scanner: scanner === null ? { kind: 'none' } : { kind: 'clamd', address: scanner },
    delivery: { port: sink.port, allowedNetworks: ['127.0.0.0/8'], trustedCertificates: [authority] },
    partners: [
      { domain: envelope.recipientDomain, hosts },
      { domain: envelope.senderDomain, hosts },
    ],
    notifications: { from: { address: 'mailer@bench.test' } },
    http: { enabled: false },
  }
}

async function addAccount(configuration: string, password: string): Promise<void> {
  const options = ['--domain', envelope.senderDomain, '--login', envelope.login, '--password-stdin']
  const adding = promisify(execFile)(
    process.execPath,
    [MAIN, 'account', 'add', 'bench', ...options, '--config', configuration],
    { timeout: START_LIMIT_MS },
  )
  adding.child.stdin?.end(`${password}\n`)
  await adding
}

/** `null` while nobody accepts connections on the port. */
function isListening(port: number): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(null))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
