// A real clamd for tests, on the configuration that we ship: only places, user and log are replaced, so that
// the tests show what config/clamd.conf does. Its signatures are two test strings; loading takes no time.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { requirePart } from './parts.ts'

/** The EICAR test string; in halves, so that no scanner takes this file for a virus. */
export const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD', '-ANTIVIRUS-TEST-FILE!$H+H*'].join('')
/** Found as `Secure.Transport.Test`: a signature that no other scanner knows. */
export const TEST_VIRUS = 'secure-transport-virus-for-tests-only'

const SIGNATURES = [`Eicar.Test.String:0:*:${hex(EICAR)}`, `Secure.Transport.Test:0:*:${hex(TEST_VIRUS)}`]
const SHIPPED_CONFIGURATION = new URL('../../config/clamd.conf', import.meta.url)
const REPLACED = [
  'LocalSocket',
  'LocalSocketGroup',
  'User',
  'DatabaseDirectory',
  'TemporaryDirectory',
  'LogSyslog',
]
const START_LIMIT_MS = 30_000

export interface Clamd {
  /** As in `scanner.address`: `unix:/…`. */
  readonly address: string
  /** Its process, to be measured. */
  readonly pid: number
  /** Ends the daemon and removes its files. */
  stop(): Promise<void>
}

/**
 * Starts clamd and waits until it answers; `null` when it is not installed. `overrides` replaces further keys
 * of the shipped configuration, such as `{ StreamMaxLength: '1M' }`.
 */
export async function startClamd(overrides: Readonly<Record<string, string>> = {}): Promise<Clamd | null> {
  const part = requirePart('clamd')
  if (part.skip !== false) return null
  const home = await mkdtemp(join(tmpdir(), 'clamd-'))
  const socketPath = join(home, 'clamd.ctl')
  await mkdir(join(home, 'signatures'))
  await mkdir(join(home, 'scratch'))
  await writeFile(join(home, 'signatures', 'test.ndb'), `${SIGNATURES.join('\n')}\n`)
  const replaced = new Set([...REPLACED, ...Object.keys(overrides)])
  const shipped = (await readFile(SHIPPED_CONFIGURATION, 'utf8')).split('\n')
  const configuration = [
    ...shipped.filter((line) => !replaced.has(line.split(' ')[0] ?? '')),
    `LocalSocket ${socketPath}`,
    `DatabaseDirectory ${join(home, 'signatures')}`,
    `TemporaryDirectory ${join(home, 'scratch')}`,
    'Foreground yes',
    ...Object.entries(overrides).map(([key, value]) => `${key} ${value}`),
  ]
  await writeFile(join(home, 'clamd.conf'), `${configuration.join('\n')}\n`)

  const child = spawn(part.path, ['--config-file', join(home, 'clamd.conf')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output = (output + chunk).slice(-10_000)))
  child.stderr.on('data', (chunk: Buffer) => (output = (output + chunk).slice(-10_000)))
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
    await rm(home, { recursive: true, force: true })
  }
  try {
    await eventually(
      'clamd answers',
      START_LIMIT_MS,
      () => isAnswering(socketPath),
      () => output,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { address: `unix:${socketPath}`, pid: child.pid ?? -1, stop }
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}

/** `true` once clamd says PONG, else `null`. */
function isAnswering(socketPath: string): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath })
    let reply = ''
    socket.on('connect', () => socket.write('zPING\0'))
    socket.on('data', (chunk) => (reply += chunk.toString('latin1')))
    socket.on('error', () => resolve(null))
    socket.on('close', () => resolve(reply === 'PONG\0' ? true : null))
  })
}
