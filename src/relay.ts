// The composition root: the only file that knows every room. It reads like a wiring list; it decides nothing.
//
// Order of starting: store (recovers), scanner self-test, delivery, listeners, HTTP. Stopping is the reverse:
// listeners drain first, so that what was promised is finished or handed back before the store closes.
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLoginCheck } from './accounts/login.ts'
import type { AccountStore } from './accounts/store.ts'
import type { Configuration } from './config/schema.ts'
import { createDelivery, type Delivery } from './delivery/worker.ts'
import { createCachingResolver } from './dns/cache.ts'
import { createResolver } from './dns/client.ts'
import { createSenderDomainCheck } from './dns/receivable.ts'
import type { Resolver } from './dns/resolver.ts'
import type { JournalStore } from './journal/store.ts'
import { createAnonymiser } from './message/anonymise.ts'
import { createNotifier } from './notification/notifier.ts'
import { loadWording } from './notification/wording.ts'
import { createMeasuredLog } from './observability/event-metrics.ts'
import { createHealth } from './observability/health.ts'
import { createHttpEndpoint, type HttpEndpoint } from './observability/http.ts'
import type { Log } from './observability/log.ts'
import { createMetrics, type Metrics } from './observability/metrics.ts'
import { createVault } from './queue/sealing.ts'
import type { QueueStore } from './queue/store.ts'
import { type Clock, systemClock, type Timer } from './runtime/clock.ts'
import { type Fault, faultText } from './runtime/fault.ts'
import { createIdSource } from './runtime/ids.ts'
import { type Random, systemRandom } from './runtime/random.ts'
import { createClamdScanner } from './scanning/clamd.ts'
import { noScanner } from './scanning/none.ts'
import type { Scanner } from './scanning/scanner.ts'
import { openPostgresAdmin } from './store/postgres/admin.ts'
import { openPostgresStore } from './store/postgres/open.ts'
import { parseStoreAddress } from './store/settings.ts'
import { openSqliteAdmin } from './store/sqlite/admin.ts'
import { openSqliteStore, type SqliteStore } from './store/sqlite/open.ts'
import { createAcceptance } from './submission/acceptance.ts'
import { createHeaderJudge } from './submission/header-judge.ts'
import { type BoundListener, createSubmission, type Submission } from './submission/listener.ts'
import { createSenderPolicy } from './submission/sender-policy.ts'

const TEMPLATES = fileURLToPath(new URL('../config/notifications', import.meta.url))
const SELF_TEST_EVERY_MS = 3_600_000
const SWEEP_EVERY_MS = 60_000
const SWEEP_BUDGET_MS = 50
const JOURNAL_KEPT_MS = 28 * 86_400_000

/** What tests and tools may replace; everything has its production value by default. */
export interface RelayOverrides {
  readonly clock?: Clock
  readonly random?: Random
  readonly resolver?: Resolver
  readonly scanner?: Scanner
  /** Called once when the store can do nothing more in this process: end it, a restart recovers. */
  readonly onFatal?: (fault: Fault) => void
}

/** A gateway that was put together and recovered its queue; it takes and sends mail after `start`. */
export interface Relay {
  /** Begins to deliver and opens the listeners. Throws a `configuration` fault that names what failed. */
  start(): Promise<{ listeners: readonly BoundListener[]; http: string | null }>
  /** Takes no new mail, finishes what runs within `limitMs`, hands the rest back to the store. */
  drain(limitMs: number): Promise<void>
  /** Closes everything, whether it was started or not. The store keeps what is not delivered. */
  stop(): Promise<void>
  readonly accounts: AccountStore
  readonly journal: JournalStore
  readonly queue: QueueStore
}

/** Puts a gateway together from its configuration and opens its store. */
export async function createRelay(
  config: Configuration,
  plainLog: Log,
  overrides: RelayOverrides = {},
): Promise<Relay> {
  const { clock = systemClock, random = systemRandom } = overrides
  const metrics = createMetrics()
  const health = createHealth()
  const log = createMeasuredLog(plainLog, metrics)
  const parts = { clock, random, log, newId: createIdSource(clock, random) }

  const vault = createVault(config.encryption, random)
  const store = await openStore(config, {
    ...parts,
    vault,
    onFatal: overrides.onFatal ?? (() => undefined),
  })
  const resolver =
    overrides.resolver ?? createCachingResolver(createResolver(parts, config.dns), clock, config.dns)
  const scanner = overrides.scanner ?? createScanner(config, parts)
  const delivery = await wireDelivery(config, parts, store, resolver)
  const submission = wireSubmission(config, parts, { store, resolver, scanner, delivery })
  const refreshGauges = createGauges(metrics, store, submission)
  const http = createHttpEndpoint({ health, metrics, log, clock, refreshGauges }, config.http)
  const scannerHealth = createScannerWatch(scanner, config, parts)
  const upkeep = createUpkeep(store, parts)

  health.register('store', () => store.queue.health().reason)
  health.register('scanner', () => scannerHealth.reason())

  return {
    accounts: store.accounts,
    journal: store.journal,
    queue: store.queue,
    async start() {
      if (!vault.encrypts) log.event('queue.unencrypted', {})
      await store.queue.start()
      await scannerHealth.start()
      delivery.start()
      upkeep.start()
      const listeners = await submission.start()
      const bound = await http.start()
      const address = bound === null ? null : `${bound.address}:${bound.port}`
      const names = listeners.map((one) => `${one.address}:${one.port}/${one.encryption}`).join(' ')
      metrics.set('securetransport_relay_start_time_seconds', {}, clock.now() / 1000)
      log.event('relay.started', {
        version: VERSION,
        hostname: config.hostname,
        listeners: names,
        http: address,
      })
      return { listeners, http: address }
    },
    async drain(limitMs) {
      await submission.drain(limitMs)
      await delivery.drain(limitMs)
    },
    async stop() {
      upkeep.stop()
      scannerHealth.stop()
      await stopAll([submission, http, delivery, scanner, store], log)
      resolver.stop()
      log.event('relay.stopped', {})
    },
  }
}

/** The version of this gateway, as in package.json. */
export const VERSION = '0.1.0'

interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly newId: () => string
}

/** The ports on stable storage, the same whichever store keeps them. */
type Store = SqliteStore

function openStore(config: Configuration, deps: Parameters<typeof openSqliteStore>[0]): Promise<Store> {
  const address = parseStoreAddress(config.store)
  if (address?.kind !== 'postgres') {
    return openSqliteStore(deps, { dataDirectory: config.dataDirectory, ...config.queue })
  }
  const cluster = { ...config.cluster, nodeName: config.cluster.nodeName ?? config.hostname.slice(0, 63) }
  return openPostgresStore(deps, { address, cluster, memoryBudget: config.queue.memoryBudget })
}

const createScanner = (config: Configuration, parts: Parts): Scanner =>
  config.scanner.kind === 'none' ? noScanner : createClamdScanner(parts, config.scanner)

async function wireDelivery(
  config: Configuration,
  parts: Parts,
  store: Store,
  resolver: Resolver,
): Promise<Delivery> {
  const templates = config.notifications.templates ?? TEMPLATES
  const wording = await loadWording(
    (file) => readFile(join(templates, file), 'utf8'),
    config.notifications.languages,
  )
  const notices = createNotifier(
    {
      queue: store.queue,
      newId: parts.newId,
      hostname: config.hostname,
      wording,
      wishesOf: async (name) => {
        const customer = name === null ? null : await store.accounts.findCustomer(name)
        return { cleartextAllowed: customer?.cleartextAllowed ?? false, languages: null }
      },
    },
    config.notifications,
  )
  const ownAddresses = (): string[] =>
    Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
  const deps = { ...parts, queue: store.queue, resolver, notices, hostname: config.hostname, ownAddresses }
  return createDelivery(deps, config.delivery, config.partners)
}

function wireSubmission(
  config: Configuration,
  parts: Parts,
  {
    store,
    resolver,
    scanner,
    delivery,
  }: { store: Store; resolver: Resolver; scanner: Scanner; delivery: Delivery },
): Submission {
  const fixed = new Set(config.partners.filter(({ hosts }) => hosts.length > 0).map(({ domain }) => domain))
  const canReceive = createSenderDomainCheck({
    ...parts,
    resolver,
    hasFixedRoute: (domain) => fixed.has(domain),
  })
  const anonymise = createAnonymiser(config.anonymiseRules, [config.hostname])
  const judgeHeader = createHeaderJudge(
    { anonymise, clock: parts.clock, hostname: config.hostname },
    config.message,
  )
  const receive = createAcceptance(
    { ...parts, queue: store.queue, scanner, judgeHeader, submit: (claims) => delivery.submit(claims) },
    {
      headerSizeMax: config.message.headerSizeMax,
      lineOctetsMax: config.submission.lineOctetsMax,
      lifetimeMs: config.delivery.lifetime,
    },
  )
  return createSubmission(
    {
      ...parts,
      login: createLoginCheck({ ...parts, store: store.accounts }, config.accounts),
      sessionDeps: {
        mayAccept: () => store.queue.health().accepting,
        senderPolicy: createSenderPolicy(canReceive, config.submission),
      },
      receive,
      newIncident: parts.newId,
    },
    {
      hostname: config.hostname,
      listeners: config.listeners,
      certificates: config.certificates,
      settings: config.submission,
    },
  )
}

/** Brings the gauges up to date when somebody asks for them. */
function createGauges(metrics: Metrics, store: Store, submission: Submission) {
  return async (): Promise<void> => {
    metrics.set('securetransport_relay_memory_bytes', {}, process.memoryUsage.rss())
    metrics.set('securetransport_submission_sessions_count', {}, submission.sessions)
    metrics.set('securetransport_queue_accepting_boolean', {}, store.queue.health().accepting ? 1 : 0)
    const counts = await store.queue.counts()
    for (const state of ['waiting', 'active', 'held'] as const) {
      metrics.set('securetransport_queue_deliveries_count', { state }, counts[state])
    }
  }
}

/** Runs the scanner's self-test at start and every hour; readiness shows its result. */
function createScannerWatch(scanner: Scanner, config: Configuration, { clock, log }: Parts) {
  const target = config.scanner.kind === 'none' ? 'none' : String(config.scanner.address)
  let failure: string | null = null
  let timer: Timer | null = null
  const test = async (): Promise<void> => {
    const result = await scanner.selfTest()
    failure = result.ok ? null : result.reason
    if (result.ok) log.event('scanner.self-test', { target })
    else log.event('scanner.self-test-failed', { target, reason: result.reason })
    timer = clock.after(result.ok ? SELF_TEST_EVERY_MS : SWEEP_EVERY_MS, () => void test(), true)
  }
  return {
    start: () => (config.scanner.kind === 'none' ? Promise.resolve() : test()),
    stop: () => timer?.cancel(),
    reason: () => failure,
  }
}

/** Removes what has outlived its time, a little each minute (A3). */
function createUpkeep(store: Store, { clock, log }: Parts) {
  let timer: Timer | null = null
  const sweep = async (): Promise<void> => {
    try {
      const removed = await store.queue.sweep(SWEEP_BUDGET_MS, { journalMs: JOURNAL_KEPT_MS })
      if (removed.journalEntries + removed.orphans > 0) log.event('journal.swept', removed)
    } catch (error) {
      log.event('relay.fault', { code: 'internal', reason: faultText(error), where: 'sweep' })
    }
    timer = clock.after(SWEEP_EVERY_MS, () => void sweep(), true)
  }
  return {
    start: () => {
      timer = clock.after(SWEEP_EVERY_MS, () => void sweep(), true)
    },
    stop: () => timer?.cancel(),
  }
}

/** Stops each part in order; one that fails is logged and does not keep the others open. */
async function stopAll(stoppable: readonly Pick<HttpEndpoint, 'stop'>[], log: Log): Promise<void> {
  for (const part of stoppable) {
    try {
      await part.stop()
    } catch (error) {
      log.event('relay.fault', { code: 'internal', reason: faultText(error), where: 'stop' })
    }
  }
}

/** What the command line needs of a store that a gateway in another process may be using. */
export async function createOperations(
  config: Pick<Configuration, 'dataDirectory' | 'encryption' | 'store'>,
) {
  const vault = createVault(config.encryption, systemRandom)
  const address = parseStoreAddress(config.store)
  const { close, ...ports } =
    address?.kind === 'postgres'
      ? await openPostgresAdmin(address, systemClock, vault)
      : openSqliteAdmin(config.dataDirectory, systemClock, vault)
  return { ...ports, close: async () => close() }
}
