// `npm run bench:queue`: what the queue costs. Life cycles per second and CPU-ms per message for the embedded and
// the shared store, with and without encryption at rest; then the embedded store with a million deliveries waiting:
// start, memory, claims, fresh mail beside them.
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requirePart } from '../test/support/parts.ts'
import { startPostgres, startPostgresPair } from '../test/support/postgres.ts'
import { fill, type LifeCycleFigures, measureLifeCycles } from './queue/life-cycles.ts'
import { createBenchClock, type OpenedStore, openEmbedded, openShared } from './queue/stores.ts'
import type { WaitingFigures } from './queue/waiting.ts'

const USAGE = `npm run bench:queue -- [options]
  --quick              small figures in less than a minute; not for comparison
  --messages N         life cycles for each store (default 20000)
  --waiting N          deliveries that wait (default 1000000)
  --producers N        senders at once (default 100)
  --octets N           size of each body (default 10240)
  --postgres URL       an empty database to measure; without it, servers of our own where PostgreSQL is installed
  --directory DIR      where data are kept: choose the disk (default ${tmpdir()})
  --json FILE          write the figures
`

/** What `--json` writes. */
interface Figures {
  readonly lifeCycles: readonly (LifeCycleFigures & { readonly store: string; readonly encrypted: boolean })[]
  readonly waiting: readonly (WaitingFigures & {
    readonly deliveries: number
    readonly encrypted: boolean
    readonly fillSeconds: number
  })[]
}

const DUE_SHARE = 50
const LATER_MS = 3_600_000
const PROBE_LIMIT_MS = 10 * 60_000
const clock = createBenchClock()
const nameOf = (encrypted: boolean): string => (encrypted ? 'encrypted' : 'clear')

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    messages: { type: 'string' },
    waiting: { type: 'string' },
    producers: { type: 'string', default: '100' },
    octets: { type: 'string', default: '10240' },
    postgres: { type: 'string' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const whole = (name: string, text: string): number => {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text)
  throw new Error(`--${name}: "${text}" is not a whole number above 0`)
}
const print = (text: string): void => void process.stdout.write(`${text}\n`)

if (values.help) process.stdout.write(USAGE)
else
  await bench().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })

async function bench(): Promise<void> {
  const load = {
    messages: whole('messages', values.messages ?? (values.quick ? '2000' : '20000')),
    producers: whole('producers', values.producers),
    octets: whole('octets', values.octets),
  }
  const deliveries = whole('waiting', values.waiting ?? (values.quick ? '20000' : '1000000'))
  const lifeCycles: Figures['lifeCycles'][number][] = []
  const measure = async (
    store: string,
    open: (encrypted: boolean) => Promise<OpenedStore>,
  ): Promise<void> => {
    for (const encrypted of [false, true]) {
      const opened = await open(encrypted)
      try {
        const figures = { store, encrypted, ...(await measureLifeCycles(opened.queue, load)) }
        lifeCycles.push(figures)
        print(lifeCycleText(figures))
      } finally {
        await opened.stop()
      }
    }
  }
  print(`${load.messages} life cycles of ${load.octets} octets, ${load.producers} at once`)
  await inDirectory((directory) =>
    measure('embedded', (encrypted) =>
      openEmbedded(join(directory, nameOf(encrypted)), { encrypted, clock }),
    ),
  )
  await measureShared(measure)
  print(`embedded store, ${deliveries} deliveries waiting`)
  const waiting: Figures['waiting'][number][] = []
  for (const encrypted of [false, true]) {
    const figures = await inDirectory((directory) => measureWaiting(directory, deliveries, encrypted))
    waiting.push(figures)
    print(waitingText(figures))
  }
  const figures: Figures = { lifeCycles, waiting }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`)
}

/** The database that was named; else one server, then a primary whose commits wait for a standby, both here. */
async function measureShared(
  measure: (store: string, open: (encrypted: boolean) => Promise<OpenedStore>) => Promise<void>,
): Promise<void> {
  const { postgres: url } = values
  if (url !== undefined) {
    await measure('postgres', (encrypted) => openShared(url, { encrypted, clock }))
    return
  }
  const { skip } = requirePart('postgres')
  if (skip !== false) {
    print(`postgres: not measured, ${skip}`)
    return
  }
  const servers = [
    ['postgres', startPostgres],
    ['postgres with a synchronous standby', startPostgresPair],
  ] as const
  for (const [name, start] of servers) {
    const server = await start()
    try {
      await measure(name, async (encrypted) =>
        openShared(await server.createDatabase(), { encrypted, clock }),
      )
    } finally {
      await server.dispose()
    }
  }
}

/** Fills a queue, one delivery in fifty due now, and measures it in a process of its own. */
async function measureWaiting(
  dataDirectory: string,
  deliveries: number,
  encrypted: boolean,
): Promise<Figures['waiting'][number]> {
  const begun = performance.now()
  const ahead = createBenchClock()
  const store = await openEmbedded(dataDirectory, { encrypted, clock: ahead })
  try {
    await fill(store.queue, Math.ceil(deliveries / DUE_SHARE))
    ahead.aheadMs = LATER_MS
    await fill(store.queue, deliveries - Math.ceil(deliveries / DUE_SHARE))
  } finally {
    await store.stop()
  }
  const fillSeconds = (performance.now() - begun) / 1000
  const program = join(import.meta.dirname, 'queue/waiting.ts')
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [program, dataDirectory, nameOf(encrypted)],
    {
      encoding: 'utf8',
      timeout: PROBE_LIMIT_MS,
    },
  )
  if (status !== 0) throw new Error(`the probe failed: ${stderr}`)
  return { deliveries, encrypted, fillSeconds, ...JSON.parse(stdout) }
}

async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(values.directory, 'queue-bench-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

function lifeCycleText(figures: Figures['lifeCycles'][number]): string {
  const { store, encrypted, perSecond, cpuMsPerMessage, databaseCpuMsPerMessage } = figures
  const database = databaseCpuMsPerMessage > 0.01 ? ` + ${databaseCpuMsPerMessage.toFixed(3)} database` : ''
  return [
    `  ${store}, ${nameOf(encrypted)}: ${perSecond.toFixed(0)}/s`,
    `${cpuMsPerMessage.toFixed(3)} CPU-ms/message${database}`,
    `enqueue p50 ${figures.enqueueMsP50.toFixed(1)} ms, p99 ${figures.enqueueMsP99.toFixed(1)} ms`,
  ].join(', ')
}

function waitingText(figures: Figures['waiting'][number]): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  return [
    `  ${nameOf(figures.encrypted)}: filled in ${figures.fillSeconds.toFixed(0)} s, start ${ms(figures.startMs)}`,
    `memory ${figures.memoryMbAfterStart.toFixed(0)} MB after start, ${figures.memoryMbPeak.toFixed(0)} MB at most`,
    `claim of 200: p50 ${ms(figures.claimMsP50)}, longest ${ms(figures.claimMsMax)} of ${figures.claims}`,
    `with nothing due ${ms(figures.claimMsWhenNothingIsDue)}`,
    `fresh mail ${figures.freshPerSecond.toFixed(0)}/s, enqueue p99 ${ms(figures.freshEnqueueMsP99)}`,
  ].join(', ')
}
