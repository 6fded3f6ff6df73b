// One attempt: one message to its recipients in one domain, over as many hosts as it takes. Yields one
// outcome for each recipient. RFC 5321 §5.1; product rows T1, T2, T7, T8.
//
//   requirement ─▶ a cached session? ─▶ transaction
//        └─▶ plan ─▶ for each address: open (TLS; small ClientHello; with a permit, in the clear) ─▶ transaction
// A recipient is through with this attempt when it is delivered, failed, or deferred for a reason that
// another host would not change. Trouble of a session or host sends the rest to the next address; when
// there is none left, classify/verdict.ts chooses the failure that stands. After the final dot has left, no other host is tried: the
// mail may have arrived.
// When the claims are no longer ours (fencing), the attempt ends at once and says nothing about any recipient.
// A fault (spool, bug) becomes a deferral with cause `local-fault` for those not through: one of the four
// places where faults are caught.

import type { Log } from '../observability/log.ts'
import type { MessageMeta } from '../queue/message.ts'
import type { Outcome } from '../queue/outcome.ts'
import type { QueueStore } from '../queue/store.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import type { Domain } from '../smtp/domain.ts'
import { type HostFailure, standingFailure } from './classify/verdict.ts'
import { classifyObstacle, classifyOpening, classifyTranscript, ownFailure } from './classify.ts'
import { mailCommand, messageObstacle, rcptCommand, recipientObstacle } from './client/commands.ts'
import {
  closeSession,
  type Opening,
  openSession,
  type Session,
  type SessionDeps,
  type Target,
} from './client/session.ts'
import { type Transcript, transact } from './client/transaction.ts'
import type { Connections } from './connections.ts'
import { destinationOf, type Job } from './job.ts'
import { outgoingCopy } from './outgoing-copy.ts'
import type { Planner } from './plan.ts'
import { type Requirement, requirementFor, requirementKey } from './security/requirement.ts'
import type { DeliverySettings, Partner } from './settings.ts'

/** What an attempt found out. */
export interface AttemptResult {
  /** One for each claim of the job, in order. */
  readonly outcomes: readonly Outcome[]
  readonly requirement: Requirement
}

export interface AttemptDeps extends SessionDeps {
  readonly queue: Pick<QueueStore, 'readBody' | 'mayStillSend'>
  readonly planner: Planner
  readonly connections: Connections
  readonly partners: ReadonlyMap<Domain, Partner>
  readonly log: Log
}

/** What is known so far within one attempt. */
interface Progress {
  readonly job: Job
  readonly requirement: Requirement
  readonly outcomes: (Outcome | null)[]
  /** Positions in `job.claims` that need another host. */
  pending: number[]
  readonly failures: HostFailure[]
  fenced: boolean
}

/** `fenced`: the claims may belong to somebody else by now; nothing more is to be sent for them. */
export type Attempt = (job: Job) => Promise<AttemptResult | 'fenced'>

export function createAttempt(deps: AttemptDeps, settings: DeliverySettings): Attempt {
  return async (job) => {
    if (!deps.queue.mayStillSend(job.claims)) return 'fenced'
    const partner = deps.partners.get(job.domain) ?? null
    const requirement = requirementFor(job.message, partner, settings.security, job.route)
    const progress: Progress = {
      job,
      requirement,
      outcomes: job.claims.map(() => null),
      pending: job.claims.map((_, position) => position),
      failures: [],
      fenced: false,
    }
    try {
      await overHosts(deps, settings, progress, partner)
    } catch (thrown) {
      noteFault(deps.log, job.message, thrown)
      const detail = 'The gateway itself was in trouble during the attempt.'
      finish(progress, ownFailure('deferred', 'message', '4.3.0', 'local-fault', detail))
    }
    return progress.fenced ? 'fenced' : { outcomes: progress.outcomes.map(isDecided), requirement }
  }
}

async function overHosts(
  deps: AttemptDeps,
  settings: DeliverySettings,
  progress: Progress,
  partner: Partner | null,
): Promise<void> {
  const { job, requirement } = progress
  const cached = deps.connections.take(connectionKey(progress))
  if (cached !== null) await deliverOn(deps, settings, progress, cached)
  if (isOver(progress)) return
  // What a cached session said about itself does not speak for the hosts.
  progress.failures.length = 0

  const plan = await deps.planner.plan(job.domain, partner, job.route)
  if (plan.kind === 'nowhere') {
    finish(progress, plan.failure)
    return
  }
  if (plan.incomplete !== null) progress.failures.push({ host: null, failure: plan.incomplete })
  for (const target of plan.targets) {
    const opening = await open(deps, settings, target, requirement)
    if (opening.kind === 'open') await deliverOn(deps, settings, progress, opening.session)
    else {
      const place = { mxHost: target.host, address: target.address, port: target.port }
      const failure = classifyOpening(opening, place)
      if (failure !== null) progress.failures.push({ host: target.host, failure })
    }
    if (isOver(progress)) return
  }
  const failure = standingFailure(progress.failures)
  finish(
    progress,
    failure ?? ownFailure('deferred', 'domain', '4.4.1', 'connection-trouble', 'No host was tried.'),
  )
}

const isOver = ({ pending, fenced }: Progress): boolean => fenced || pending.length === 0

const connectionKey = ({ job, requirement }: Progress): string =>
  `${job.domain} ${destinationOf(job)} ${requirementKey(requirement)}`

/** A session with one address: TLS first, with the small ClientHello if the large one may be the trouble. */
async function open(
  deps: AttemptDeps,
  settings: DeliverySettings,
  target: Target,
  requirement: Requirement,
): Promise<Opening> {
  const { timeouts } = settings
  let opening = await openSession(deps, target, { tls: 'modern', requirement }, timeouts)
  if (opening.kind === 'no-tls' && opening.mayBeHelloSize) {
    const again = await openSession(deps, target, { tls: 'small-hello', requirement }, timeouts)
    if (again.kind !== 'trouble') opening = again
  }
  const { permit } = requirement
  if (permit === null || opening.kind !== 'no-tls' || opening.reason === 'injected') return opening
  // T2: TLS was tried and cannot be had here; the permit allows this host in the clear.
  return openSession(deps, target, { tls: 'skip', permit }, timeouts)
}

/** Runs one transaction for those pending and notes what became of them. The session is given back or closed. */
async function deliverOn(
  deps: AttemptDeps,
  settings: DeliverySettings,
  progress: Progress,
  session: Session,
): Promise<void> {
  const { job } = progress
  const { channel, extensions, place } = session
  const standing = { place, evidence: channel.evidence }
  const [first] = job.claims
  if (first === undefined) return
  const copy = outgoingCopy(first, channel, deps.queue)
  const obstacle = messageObstacle(job.message, copy.sizeBytes, extensions)
  if (obstacle !== null) {
    finish(progress, classifyObstacle(obstacle, 'message', standing))
    deps.connections.give(connectionKey(progress), session)
    return
  }
  const positions = progress.pending.filter((position) => {
    const claim = job.claims[position]
    const hindered = claim === undefined ? null : recipientObstacle(claim.recipient, extensions)
    if (hindered !== null) note(progress, position, classifyObstacle(hindered, 'recipient', standing))
    return hindered === null
  })
  if (positions.length === 0) {
    deps.connections.give(connectionKey(progress), session)
    return
  }
  const rcpts = positions.flatMap((position) => {
    const claim = job.claims[position]
    return claim === undefined ? [] : [rcptCommand(claim.recipient, extensions)]
  })
  const mail = mailCommand(job.message, copy.sizeBytes, extensions)
  const mayStillSend = (): boolean => deps.queue.mayStillSend(job.claims)
  const order = { mail, rcpts, copy, pipelining: extensions.pipelining, mayStillSend }
  session.transactions++
  const transcript = await transact(channel, order, settings.timeouts)
  if (transcript.reusable) deps.connections.give(connectionKey(progress), session)
  else closeSession(session)
  if (transcript.fenced) {
    progress.fenced = true
    return
  }
  if (transcript.inDoubt) noteDoubt(deps.log, progress, positions, transcript, session)
  const outcomes = classifyTranscript(transcript, standing, extensions.dsn)
  for (const [order, position] of positions.entries()) {
    const outcome = outcomes[order]
    if (outcome !== undefined) note(progress, position, outcome)
  }
}

/** Files one outcome: final for this attempt, or a reason to try the next host. */
function note(progress: Progress, position: number, outcome: Outcome): void {
  if (outcome.kind === 'deferred' && (outcome.scope === 'session' || outcome.scope === 'host')) {
    progress.failures.push({ host: outcome.place.mxHost, failure: outcome })
    return
  }
  progress.outcomes[position] = outcome
  progress.pending = progress.pending.filter((other) => other !== position)
}

/** The same outcome for all that are still pending. */
function finish(progress: Progress, outcome: Outcome): void {
  for (const position of progress.pending) progress.outcomes[position] = outcome
  progress.pending = []
}

function isDecided(outcome: Outcome | null): Outcome {
  if (outcome !== null) return outcome
  throw new Fault('internal', 'an attempt ended without an outcome')
}

function noteDoubt(
  log: Log,
  progress: Progress,
  positions: readonly number[],
  transcript: Transcript,
  session: Session,
): void {
  for (const [order, position] of positions.entries()) {
    const accepted = transcript.recipients[order]
    const forwardPath = progress.job.claims[position]?.recipient.forwardPath.text ?? null
    if (accepted !== null && accepted !== undefined && accepted.code < 300) {
      const { mxHost } = session.place
      log.event('delivery.in-doubt', { message: progress.job.message.id, forwardPath, mxHost })
    }
  }
}

function noteFault(log: Log, message: MessageMeta, thrown: unknown): void {
  const code = thrown instanceof Fault ? thrown.code : 'internal'
  const reason = faultText(thrown)
  if (code === 'spool-unreadable') log.event('queue.damaged', { message: message.id, reason })
  else log.event('relay.fault', { code, reason, where: 'delivery.attempt' })
}
