// The crash soak itself: the real gateway, killed -9 again and again under load on the same data, started again,
// and at the end every promise compared with what the recipient has. The parts are in the files beside this one.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../support/eventually.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { createLedger, type Ledger, type LedgerReport } from './ledger.ts'
import { createTrap, type KillMoment, type KillPlan, planKill, type Trap } from './moments.ts'
import { createSeededRandom } from './seeded-random.ts'
import { type SlowRecipient, startSlowRecipient } from './slow-recipient.ts'
import { startClients } from './soak-clients.ts'
import { RECIPIENT_DOMAINS, SENDER_DOMAIN } from './soak-mail.ts'
import { stallStore } from './stalled-store.ts'

export interface SoakOptions {
  /** How often the gateway is killed. */
  readonly rounds: number
  /** An integer; load and kills follow from it, as far as two processes can be repeated. */
  readonly seed: number
  readonly clients?: number
  /** Told after each kill. */
  readonly onRound?: (round: number, plan: KillPlan, ledger: Ledger) => void
}

export interface SoakReport extends LedgerReport {
  readonly rounds: number
  readonly seed: number
  /** How many kills came at each kind of moment. */
  readonly kills: Readonly<Partial<Record<KillMoment, number>>>
  /** Deliveries that a started gateway took over from its killed predecessors, all together. */
  readonly recovered: number
  /** From the launch of the process to `relay.started`. */
  readonly startMs: { readonly median: number; readonly longest: number }
  /** From the end of the load until all had arrived. */
  readonly drainMs: number
  readonly durationMs: number
  /** What remains in the data directory at the end: must be nothing. */
  readonly queued: number
  readonly spoolFiles: readonly string[]
  /** Log lines that must not occur, at most twenty. */
  readonly faults: readonly string[]
  readonly exitCode: number | null
}

const CLIENTS = 6
const LOGIN = 'soak'
const PASSWORD = 'correct horse battery'
const ENDING_MAX_MS = 20_000
const ARRIVAL_MAX_MS = 60_000
const FAULTS_MAX = 20
const FAULT_EVENTS = [
  'relay.fault',
  'queue.damaged',
  'delivery.fenced',
  'delivery.failed',
  'delivery.deferred',
]

/** True when nothing was lost, nothing repeated without an explanation, and nothing is left over. */
export const isFlawless = (report: SoakReport): boolean =>
  report.accepted > 0 && report.problems.length + report.faults.length === 0 && isEmptied(report)

const isEmptied = ({ queued, spoolFiles, exitCode }: SoakReport): boolean =>
  queued === 0 && spoolFiles.length === 0 && exitCode === 0

/** Starts a world of its own, kills its gateway `rounds` times, and reports. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const begunAt = performance.now()
  const ledger = createLedger()
  const state = { run: 0 }
  const trap = createTrap()
  const recipient = await startSlowRecipient({
    ledger,
    random: createSeededRandom(options.seed + 1),
    run: () => state.run,
    note: trap.note,
  })
  try {
    const gateway = await startGateway(await gatewayOptions(recipient.port))
    try {
      const rounds = await killRounds({ gateway, recipient, ledger, state, trap }, options)
      const end = await finish(gateway, recipient, ledger)
      return {
        rounds: options.rounds,
        seed: options.seed,
        ...ledger.report(),
        ...rounds,
        ...end,
        recovered: sumOf(gateway, 'queue.recovered', 'deliveries'),
        faults: faultsOf(gateway),
        durationMs: Math.round(performance.now() - begunAt),
      }
    } finally {
      await gateway.dispose()
    }
  } finally {
    await recipient.stop()
  }
}

async function gatewayOptions(recipientPort: number) {
  const hosts = `["127.0.0.1:${recipientPort}"]`
  const domains = [SENDER_DOMAIN, ...RECIPIENT_DOMAINS]
  return {
    ports: { starttls: await freePort(), implicit: await freePort(), http: await freePort() },
    yaml: `scanner: { kind: none }
queue: { diskReserve: '0', ballast: 1MB }
delivery:
  allowedNetworks: [127.0.0.0/8]
  retry: { first: 1s, max: 1s }
  destinationRetry: { first: 1s, max: 1s }
partners:
${domains.map((domain) => `  - { domain: ${domain}, hosts: ${hosts} }`).join('\n')}
notifications: { from: { address: postmaster@${SENDER_DOMAIN} } }`,
    accounts: [{ name: 'Soak', domains: [SENDER_DOMAIN], login: LOGIN, password: PASSWORD }],
  }
}

interface World {
  readonly gateway: Gateway
  readonly recipient: SlowRecipient
  readonly ledger: Ledger
  readonly state: { run: number }
  readonly trap: Trap
}

/** The kills, and one more start without one: what is queued then is for `finish`. */
async function killRounds(world: World, { rounds, seed, clients = CLIENTS, onRound }: SoakOptions) {
  const { gateway, recipient, ledger, state, trap } = world
  const random = createSeededRandom(seed)
  const kills: Partial<Record<KillMoment, number>> = {}
  const startsMs: number[] = []
  let number = 0
  const submitters = { ledger, note: trap.note, arrival: recipient.arrival, nextNumber: () => ++number }
  for (state.run = 0; state.run < rounds; state.run++) {
    const plan = planKill(state.run, random)
    kills[plan.moment] = (kills[plan.moment] ?? 0) + 1
    const launchedAt = performance.now()
    const starting = state.run === 0 ? Promise.resolve() : gateway.restart()
    if (plan.moment === 'start') {
      await Promise.race([delay(plan.delayMs), starting])
      await Promise.all([killNow(world), starting.catch(() => undefined)])
    } else {
      await starting
      if (state.run > 0) startsMs.push(performance.now() - launchedAt)
      const killed = killAsPlanned(world, plan)
      const order = { seed, port: gateway.port, login: LOGIN, password: PASSWORD, clients }
      const load = startClients(submitters, order)
      await killed
      // The sockets of a dead process are closed; what it had said before can still be read.
      await Promise.race([load.ended, delay(ENDING_MAX_MS, undefined, { ref: false })])
      load.cut()
    }
    onRound?.(state.run + 1, plan, ledger)
  }
  await gateway.restart()
  return { kills, startMs: { median: medianOf(startsMs), longest: Math.round(Math.max(0, ...startsMs)) } }
}

/** The signal is on its way when this returns; the promise resolves when the process is gone. */
function killNow({ gateway, ledger, state }: World): Promise<void> {
  ledger.end(state.run, performance.now())
  return gateway.kill()
}

/** Lays the trap; resolves when the gateway is gone. */
function killAsPlanned(world: World, { moment, awaited, delayMs }: KillPlan): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  world.trap.arm(awaited, () => {
    const release = moment === 'stalled' ? stall(world) : () => undefined
    const kill = (): void => void killNow(world).then(release).then(resolve, reject)
    if (delayMs === 0) kill()
    else setTimeout(kill, delayMs)
  })
  return promise
}

/** Nothing can be written down any more, and nothing be handed over, so that memory does not make up for it. */
function stall({ gateway, recipient, ledger, state }: World): () => void {
  const resume = recipient.pause()
  const release = stallStore(join(gateway.directory, 'data'))
  ledger.end(state.run, performance.now())
  return () => {
    release()
    resume()
  }
}

/** Waits until every promise is kept (or the time is over), then looks at what is left. */
async function finish(gateway: Gateway, recipient: SlowRecipient, ledger: Ledger) {
  const since = performance.now()
  const late = delay(ARRIVAL_MAX_MS, 'late', { ref: false })
  while (ledger.outstanding > 0) {
    if ((await Promise.race([recipient.arrival(), late])) === 'late') break
  }
  const drainMs = Math.round(performance.now() - since)
  // The last results may be on their way to the disk, and unacknowledged mail on its way to the recipient.
  const queued = await eventually('the queue is empty', ENDING_MAX_MS, async () =>
    (await queueLength(gateway)) === 0 ? 0 : null,
  ).catch(() => queueLength(gateway))
  const exitCode = await gateway.stop()
  const spool = await readdir(join(gateway.directory, 'data/spool'), {
    recursive: true,
    withFileTypes: true,
  })
  const spoolFiles = spool.filter((entry) => entry.isFile()).map(({ name }) => name)
  return { drainMs, queued, spoolFiles, exitCode }
}

async function queueLength(gateway: Gateway): Promise<number> {
  const { stdout } = await gateway.command(['queue', 'list', '--json'])
  const listed: unknown = JSON.parse(stdout)
  if (!Array.isArray(listed)) throw new Error(`queue list said ${stdout}`)
  return listed.length
}

function sumOf(gateway: Gateway, event: string, field: string): number {
  return gateway.events
    .filter((line) => line.event === event)
    .reduce((sum, line) => sum + Number(line[field]), 0)
}

function faultsOf(gateway: Gateway): string[] {
  return gateway.events
    .filter(({ event }) => FAULT_EVENTS.includes(event))
    .slice(0, FAULTS_MAX)
    .map((line) => JSON.stringify(line))
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return Math.round(sorted[sorted.length >> 1] ?? 0)
}
