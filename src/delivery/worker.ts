// Delivery as a whole: takes claims (fresh from acceptance, or due from the store), lets destinations take
// turns, runs attempts, settles results. Owns everything that delivery starts: connections, timers, sessions.
//
// What an operator ordered to be dropped is settled without an attempt. Claims that are no longer ours (fencing)
// are not settled; they are given back, which the store ignores where somebody else owns them by now.
// Fresh mail comes already leased and goes out at once. Due work is claimed in batches, at the latest every
// two seconds, never for destinations that can take no more. Memory is bounded: what has no room is given
// back to the store. Stop and drain leave no claim behind that is neither settled nor released.
import type { Resolver } from '../dns/resolver.ts'
import type { Log } from '../observability/log.ts'
import type { Claim } from '../queue/message.ts'
import type { NoticePlanner } from '../queue/notice.ts'
import type { Failure, Outcome } from '../queue/outcome.ts'
import type { QueueStore, Settlement } from '../queue/store.ts'
import { type Clock, pause, type Timer } from '../runtime/clock.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import type { Random } from '../runtime/random.ts'
import type { Domain } from '../smtp/domain.ts'
import { createAddressGuard } from './address-guard.ts'
import { createAttempt } from './attempt.ts'
import { ownFailure } from './classify.ts'
import { createDialler } from './client/dial.ts'
import { createConnections } from './connections.ts'
import { createDestinations } from './destinations.ts'
import { type Job, jobsOf, troubleOf } from './job.ts'
import { createPlanner } from './plan.ts'
import { createTlsProfiles } from './security/tls-profile.ts'
import type { DeliverySettings, PartnerSettings } from './settings.ts'
import { createResults } from './settling/results.ts'
import { createSettler } from './settling/settler.ts'

export interface DeliveryDeps {
  readonly queue: QueueStore
  readonly resolver: Resolver
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly notices: NoticePlanner
  /** What we say in EHLO, and what among MX hosts means a loop. */
  readonly hostname: Domain
  /** Addresses of this machine that mail must not be sent to (T9); asked for each plan. */
  readonly ownAddresses: () => readonly string[]
}

export interface DeliveryActivity {
  /** Transactions under way. */
  readonly running: number
  /** Deliveries that wait in memory. */
  readonly waiting: number
  /** Open connections that wait for the next mail. */
  readonly idleConnections: number
  readonly openConnections: number
  /** Destinations whose hosts fail. */
  readonly outOfService: number
  /** Results that the store has not taken yet. */
  readonly unsettled: number
}

export interface Delivery {
  /** Takes over claims that acceptance was given with its `enqueue`. */
  submit(claims: readonly Claim[]): void
  /** Begins to look for due work. */
  start(): void
  /** Something became due: look now. */
  wake(): void
  /** Takes no more work, finishes what runs within `deadlineMs`, gives the rest back to the store. */
  drain(deadlineMs: number): Promise<void>
  /** Drains without patience: running transactions are cut off, their claims given back. */
  stop(): Promise<void>
  activity(): DeliveryActivity
}

const CLAIM_BATCH = 200
const POLL_MAX_MS = 2000
const POLL_MIN_MS = 50
/** Nothing new is started while so many results wait for the store. */
const UNSETTLED_MAX = 2000
/** After a bug, a pause before the same mail is tried again: it must not become a loop. */
const FAULT_PAUSE_MS = 5 * 60_000
/** How long `stop` waits for cut-off transactions and for the store. */
const STOP_MS = 5000

/** @throws Fault `configuration` for unreadable trusted certificates */
export function createDelivery(
  deps: DeliveryDeps,
  settings: DeliverySettings,
  partners: PartnerSettings = [],
): Delivery {
  const { queue, clock, random, log } = deps
  const dialler = createDialler(clock, settings.timeouts.connect)
  const connections = createConnections(clock, {
    idleMs: settings.connectionIdle,
    idleMax: settings.sessionsMax,
    messagesMax: settings.messagesPerConnection,
  })
  const guard = createAddressGuard(settings.allowedNetworks, deps.ownAddresses)
  const attempt = createAttempt(
    {
      queue,
      dialler,
      profiles: createTlsProfiles(clock, settings.trustedCertificates),
      clock,
      hostname: deps.hostname,
      planner: createPlanner(
        { resolver: deps.resolver, random, guard, hostname: deps.hostname },
        settings.port,
      ),
      connections,
      partners: new Map(partners.map((partner) => [partner.domain, partner])),
      log,
    },
    settings,
  )
  const results = createResults(deps, settings)
  const settler = createSettler(deps, (stored) => stored.some(hasNotices) && wake())
  const destinations = createDestinations(clock, random, {
    waitingMax: settings.waitingInMemoryMax,
    sessionsMax: settings.sessionsPerDestinationMax,
    pauseFirst: settings.destinationRetry.first,
    pauseMax: settings.destinationRetry.max,
  })
  let state: 'new' | 'running' | 'draining' | 'stopped' = 'new'
  let running = 0
  let besides = 0
  let poll: Timer | null = null
  let looking = false
  let lookAgain = false
  let moreInStore = false
  let onQuiet: (() => void) | null = null

  /** Work beside the transactions that stopping must wait for. */
  const track = (where: string, work: Promise<unknown>): void => {
    besides++
    const done = (): void => {
      besides--
      if (running + besides === 0) onQuiet?.()
    }
    work.then(done, (thrown) => {
      noteFault(where, thrown)
      done()
    })
  }
  const release = (claims: readonly Claim[]): void => {
    if (claims.length > 0) track('delivery.release', queue.release(claims))
  }
  const noteFault = (where: string, thrown: unknown): void => {
    const code = thrown instanceof Fault ? thrown.code : 'internal'
    log.event('relay.fault', { code, reason: faultText(thrown), where })
  }

  const noteFenced = ({ message, claims }: Job): void => {
    for (const { recipient } of claims) {
      const forwardPath = recipient.forwardPath.text
      log.event('delivery.fenced', { message: message.id, forwardPath, stage: 'send' })
    }
  }

  const admit = (claims: readonly Claim[]): void => {
    for (const job of jobsOf(claims)) {
      if (job.order !== 'deliver') {
        track('delivery.drop', results.dropped(job).then(settler.add))
        continue
      }
      const offer = destinations.offer(job)
      if (offer.kind === 'paused') postpone([job], offer.failure, offer.until)
      else if (offer.kind === 'full') {
        moreInStore = true
        release(job.claims)
      }
    }
  }
  const postpone = (jobs: readonly Job[], failure: Failure, until: number): void => {
    for (const job of jobs) {
      track('delivery.postpone', results.postponed(job, failure, until).then(settler.add))
    }
  }

  const pump = (): void => {
    while (running < settings.sessionsMax && settler.backlog < UNSETTLED_MAX) {
      const job = state === 'stopped' || state === 'draining' ? null : destinations.next()
      if (job === null) break
      running++
      void run(job)
    }
    // The store has more: fetch before the line runs dry.
    if (moreInStore && destinations.waiting < settings.waitingInMemoryMax / 4) wake()
  }

  /** One job from attempt to settlement. Never rejects. */
  const run = async (job: Job): Promise<void> => {
    let trouble: Failure | null | undefined
    try {
      const result = await attempt(job)
      if (result === 'fenced') {
        noteFenced(job)
        // Most likely others have them. If the lease only lapsed and nobody took over, this is what frees them.
        release(job.claims)
      } else if (state === 'stopped' && result.outcomes.some(isCutOff)) {
        // Cut off by ourselves: what was learnt is kept, the rest is as if it had not been tried.
        const cut = job.claims.filter((_, position) => isCutOff(result.outcomes[position]))
        const claims = job.claims.filter((claim) => !cut.includes(claim))
        const outcomes = result.outcomes.filter((outcome) => !isCutOff(outcome))
        release(cut)
        if (claims.length > 0)
          settler.add(await results.afterAttempt({ ...job, claims }, { ...result, outcomes }))
      } else {
        settler.add(await results.afterAttempt(job, result))
        trouble = troubleOf(result.outcomes)
      }
    } catch (thrown) {
      noteFault('delivery.run', thrown)
      const detail = 'The gateway itself was in trouble after the attempt.'
      const failure = ownFailure('deferred', 'message', '4.3.0', 'local-fault', detail)
      postpone([job], failure, clock.now() + FAULT_PAUSE_MS)
    }
    running--
    const aftermath = destinations.finished(job, trouble)
    if (trouble) postpone(aftermath.postponed, trouble, aftermath.until)
    // What was moved to a route is due at the end of the pause at the latest.
    if (aftermath.recovered && job.route === null)
      track('delivery.recover', queue.retryNow({ domain: job.domain }).then(wake))
    if (running + besides === 0) onQuiet?.()
    pump()
  }

  const lookSoon = (delayMs: number): void => {
    poll?.cancel()
    poll = clock.after(delayMs, () => track('delivery.claim', look()))
  }
  /** Claims due work and sets the time of the next look. */
  const look = async (): Promise<void> => {
    looking = true
    let delayMs = POLL_MAX_MS
    try {
      const room =
        settler.backlog < UNSETTLED_MAX
          ? Math.min(CLAIM_BATCH, settings.waitingInMemoryMax - destinations.waiting)
          : 0
      const claims = room > 0 ? await queue.claim(room, destinations.skip()) : []
      moreInStore = claims.length >= room || destinations.isAnySaturated
      if (state === 'running') admit(claims)
      else release(claims)
      pump()
      if (moreInStore && claims.length > 0) delayMs = POLL_MIN_MS
      else {
        const due = await queue.nextDue()
        // What is due and was not claimed belongs to destinations that can take no more: no hurry.
        if (due !== null && due > clock.now()) delayMs = due - clock.now()
      }
    } catch (thrown) {
      noteFault('delivery.claim', thrown)
    }
    looking = false
    if (state !== 'running') return
    if (lookAgain) delayMs = 0
    lookAgain = false
    lookSoon(Math.min(POLL_MAX_MS * (0.75 + random.fraction() / 4), delayMs))
  }
  const wake = (): void => {
    if (state !== 'running') return
    if (looking) lookAgain = true
    else {
      poll?.cancel()
      track('delivery.claim', look())
    }
  }

  /** Ends the search for work and gives back what waits. */
  const close = (to: 'draining' | 'stopped'): void => {
    state = to
    poll?.cancel()
    poll = null
    release(destinations.clear().flatMap((job) => job.claims))
  }
  /** Resolves when no transaction runs and all results are stored, or after `limitMs`. */
  const quiet = async (limitMs: number): Promise<void> => {
    const done = async (): Promise<void> => {
      if (running + besides > 0) {
        await new Promise<void>((resolve) => {
          onQuiet = resolve
        })
      }
      await settler.idle()
    }
    const late = new AbortController()
    await Promise.race([done(), pause(clock, limitMs, late.signal)])
    late.abort()
  }

  return {
    submit(claims) {
      if (state === 'draining' || state === 'stopped') release(claims)
      else {
        admit(claims)
        pump()
      }
    },
    start() {
      if (state !== 'new') return
      state = 'running'
      queue.onDue(wake)
      track('delivery.claim', look())
    },
    wake,
    async drain(deadlineMs) {
      if (state === 'stopped') return
      close('draining')
      await quiet(deadlineMs)
      connections.stop()
    },
    async stop() {
      if (state === 'stopped') return
      close('stopped')
      connections.stop()
      dialler.stop()
      await quiet(STOP_MS)
      settler.stop()
      await quiet(STOP_MS)
    },
    activity: () => ({
      running,
      waiting: destinations.waiting,
      idleConnections: connections.idle,
      openConnections: dialler.open,
      outOfService: destinations.outOfService,
      unsettled: settler.backlog,
    }),
  }
}

const hasNotices = (settlement: Settlement): boolean => settlement.notices.length > 0

/** After our own stop: a transaction that ended without a word of the next hop was cut off by us. */
const isCutOff = (outcome: Outcome | undefined): boolean =>
  outcome?.kind === 'deferred' && outcome.reply === null
