// `npm run bench`: what the gateway costs and how fast it is, and with `--against postfix` the same for a Postfix
// set up alike, in turn within each round, as ratios. See README.md for what is measured and how.
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { startClamd } from '../test/support/clamd.ts'
import { type Comparison, compare, comparisonText, figuresText } from './report.ts'
import { type Figures, measure } from './round.ts'
import { startGatewayServer } from './servers/gateway.ts'
import { startPostfixServer } from './servers/postfix.ts'
import type { StartServer } from './servers/server.ts'
import { type Amount, type Workload, workloads } from './workloads.ts'

const USAGE = `npm run bench -- [options]
  --against postfix    measure Postfix too, in turn, and print ratios
  --only NAME          measure only that server: gateway or postfix
  --rounds N           rounds; medians are taken over them (default 3)
  --workload W1        only this workload; may be given several times
  --seconds N          length of each load (default 8)
  --messages N         so many mails instead
  --scanner clamd      the gateway scans every mail; clamd's CPU counts to it
  --directory DIR      where queues are kept: choose the disk (default ${tmpdir()})
  --json FILE          write the figures
`
const servers: Readonly<Record<string, StartServer>> = {
  gateway: startGatewayServer,
  postfix: startPostfixServer,
}

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    workload: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '8' },
    messages: { type: 'string' },
    scanner: { type: 'string' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
process.once('SIGINT', () => process.exit(130)) // the servers end with this process
if (values.help) process.stdout.write(USAGE)
else
  await bench().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })

async function bench(): Promise<void> {
  const names = [values.only ?? 'gateway', ...(values.against === undefined ? [] : [values.against])]
  const chosen = workloads.filter(({ name }) => values.workload?.includes(name) ?? true)
  const amount: Amount =
    values.messages === undefined
      ? { kind: 'seconds', seconds: positive('seconds', values.seconds) }
      : { kind: 'mails', mails: positive('messages', values.messages) }
  const rounds = positive('rounds', values.rounds)
  if (chosen.length === 0)
    throw new Error(`--workload: one of ${workloads.map(({ name }) => name).join(', ')}`)
  if (values.scanner !== undefined && values.scanner !== 'clamd') throw new Error('--scanner: clamd')
  const clamd = values.scanner === 'clamd' ? await startClamd() : null
  if (values.scanner === 'clamd' && clamd === null) throw new Error('--scanner clamd: clamd is not installed')
  try {
    const measured = new Map<string, Figures[]>()
    for (let round = 1; round <= rounds; round++) {
      for (const workload of chosen) {
        for (const name of names) {
          const key = `${workload.name} ${name}`
          const figures = await measureOne(name, workload, amount, clamd)
          measured.set(key, [...(measured.get(key) ?? []), figures])
        }
      }
    }
    const comparisons = chosen.map(({ name: workload }) =>
      compare(
        workload,
        measured.get(`${workload} ${names[0]}`) ?? [],
        measured.get(`${workload} ${names[1]}`) ?? [],
      ),
    )
    await publish(chosen, names, comparisons)
  } finally {
    await clamd?.stop()
  }
}

async function measureOne(
  name: string,
  workload: Workload,
  amount: Amount,
  clamd: Awaited<ReturnType<typeof startClamd>>,
): Promise<Figures> {
  const start = servers[name]
  if (start === undefined) throw new Error(`${name}: one of ${Object.keys(servers).join(', ')}`)
  const { figures, mails, connections, resumed } = await measure({
    ...{ start, workload, amount, directory: values.directory },
    scanner: name === 'gateway' && clamd !== null ? { address: clamd.address, pid: clamd.pid } : null,
  })
  process.stdout.write(
    `${workload.name} ${name.padEnd(8)} ${figuresText(figures)}   (${mails} mails over ${connections} connections to the sink, ${resumed} resumed)\n`,
  )
  return figures
}

async function publish(
  chosen: readonly Workload[],
  names: readonly string[],
  comparisons: readonly Comparison[],
): Promise<void> {
  process.stdout.write('\nMedians\n')
  comparisons.forEach((comparison, index) => {
    const workload = chosen[index]
    if (workload) process.stdout.write(`${comparisonText(workload, names, comparison)}\n`)
  })
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(comparisons, null, 2)}\n`)
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${option} ${text}: a number above 0`)
  return value
}
