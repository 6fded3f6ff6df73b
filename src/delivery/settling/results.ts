// From outcomes to settlements: what the queue remembers, when it is tried again, what the sender is owed.
// Product rows T1 (window without TLS), T7 (lifetime), N1–N3.
//
//   delivered                                          → done; `relayed` if NOTIFY=SUCCESS, `delay-over` after a delay notice
//   failed                                             → done; `failed`
//   deferred, no encrypted path for `tlsRetryWindow`   → becomes failed, 5.7.x
//   deferred, lifetime over                            → becomes failed, 5.4.7 `expired`, with the last failure in its words
//   deferred                                           → later; `delayed` once, after `delayNoticeAfter`
//   an operator's order to drop                        → done, 5.0.0 `operator`; `failed`, or silently no notice
// A failure is recorded only together with its notice. A notice of ours that fails makes no notice: it is an operator's event.

import type { Log } from '../../observability/log.ts'
import type { Claim, DeliveryState, NewMessage } from '../../queue/message.ts'
import type { NoticeItem, NoticeKind, NoticePlanner } from '../../queue/notice.ts'
import type { Failure, Outcome } from '../../queue/outcome.ts'
import { nextAttemptAt } from '../../queue/schedule.ts'
import type { Settlement } from '../../queue/store.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault, faultText } from '../../runtime/fault.ts'
import type { Random } from '../../runtime/random.ts'
import { withClass } from '../../smtp/enhanced-status.ts'
import type { SecurityLevel } from '../../smtp/security-level.ts'
import type { AttemptResult } from '../attempt.ts'
import { ownFailure } from '../classify.ts'
import type { Job } from '../job.ts'
import type { DeliverySettings } from '../settings.ts'
import { droppedEntryOf, journalEntryOf, logDropped, logOutcome } from './record.ts'

export interface ResultsDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly notices: NoticePlanner
}

export interface Results {
  /** What is to be settled after an attempt. */
  afterAttempt(job: Job, result: AttemptResult): Promise<Settlement[]>
  /** The same for a job that was not attempted because its destination is out of service until `until`. */
  postponed(job: Job, failure: Failure, until: number): Promise<Settlement[]>
  /** The same for a job that an operator ordered to be dropped. */
  dropped(job: Job): Promise<Settlement[]>
}

/** One delivery on its way to its settlement. */
interface Decision {
  readonly claim: Claim
  readonly outcome: Outcome
  readonly attempt: number
  /** `null` when the delivery is done. */
  readonly later: { readonly state: DeliveryState; readonly at: number } | null
}

export function createResults(deps: ResultsDeps, settings: DeliverySettings): Results {
  const settle = async (job: Job, decisions: readonly Decision[], levelWanted: SecurityLevel | null) => {
    const now = deps.clock.now()
    const notices = await noticesFor(deps, settings, job, decisions, now)
    return decisions.map((decision) => settlementOf(deps, settings, decision, notices, levelWanted, now))
  }
  return {
    afterAttempt(job, result) {
      const now = deps.clock.now()
      const decisions = job.claims.map((claim, position) => {
        const outcome = result.outcomes[position]
        if (outcome === undefined)
          throw new Fault('internal', 'an attempt left a delivery without an outcome')
        return decide(deps, settings, claim, outcome, now)
      })
      return settle(job, decisions, result.requirement.level)
    },
    postponed(job, failure, until) {
      const now = deps.clock.now()
      const decisions = job.claims.map((claim): Decision => {
        const attempt = claim.state.attempts
        const { expiresAt } = claim.message
        if (now >= expiresAt) return { claim, outcome: expired(failure, claim), attempt, later: null }
        const state = { ...claim.state, lastFailure: failure }
        return { claim, outcome: failure, attempt, later: { state, at: Math.min(until, expiresAt) } }
      })
      return settle(job, decisions, null)
    },
    async dropped(job) {
      if (job.order === 'drop-silently') {
        const at = deps.clock.now()
        return job.claims.map((claim): Settlement => {
          logDropped(deps.log, claim)
          return { kind: 'done', claim, entries: [droppedEntryOf(claim, at)], notices: [] }
        })
      }
      const now = deps.clock.now()
      const decisions = job.claims.map((claim): Decision => {
        // The store orders this too, for what is held until its lifetime is over.
        const isExpired = now >= claim.message.expiresAt
        const outcome = isExpired ? expired(claim.state.lastFailure ?? HELD, claim) : DROPPED
        return { claim, outcome, attempt: claim.state.attempts, later: null }
      })
      return settle(job, decisions, null)
    },
  }
}

/** RFC 3463 knows no better status: neither the address, the host nor the content is at fault. */
const DROPPED = ownFailure(
  'failed',
  'recipient',
  '5.0.0',
  'operator',
  'An operator of this gateway ended the delivery.',
)

/** Stands for the last failure of a delivery that was held before its first attempt. */
const HELD = ownFailure('deferred', 'recipient', '4.0.0', 'operator', 'An operator of this gateway held it.')

function settlementOf(
  deps: ResultsDeps,
  settings: DeliverySettings,
  decision: Decision,
  notices: ReadonlyMap<number, readonly NewMessage[] | 'unavailable'>,
  levelWanted: SecurityLevel | null,
  now: number,
): Settlement {
  const { claim } = decision
  const owed = notices.get(claim.index) ?? []
  const { outcome, attempt, later } = owed === 'unavailable' ? untilNoticed(decision, now) : decision
  const recorded = { claim, outcome, levelWanted, at: now, attempt, nextAttemptAt: later?.at ?? null }
  logOutcome(deps.log, recorded)
  const entries = [journalEntryOf(recorded)]
  const common = { claim, entries, notices: owed === 'unavailable' ? [] : owed }
  if (later === null) return { ...common, kind: 'done' }
  const delayNotified = later.state.delayNotified || isDelayDue(claim, settings, now)
  return { ...common, kind: 'later', state: { ...later.state, delayNotified }, nextAttemptAt: later.at }
}

/** A failure that the sender cannot be told of now is not final yet: it is found again, and told, a little later. */
function untilNoticed({ claim, outcome, attempt }: Decision, now: number): Decision {
  if (outcome.kind === 'delivered') throw new Fault('internal', 'a delivered mail waits for its notice')
  const deferred: Failure = {
    ...outcome,
    kind: 'deferred',
    status: withClass(outcome.status, 4),
    cause: 'local-fault',
  }
  const state = { ...claim.state, attempts: attempt, lastFailure: deferred }
  return { claim, outcome: deferred, attempt, later: { state, at: now + NOTICE_RETRY_MS } }
}

const NOTICE_RETRY_MS = 60_000

function decide(
  deps: ResultsDeps,
  settings: DeliverySettings,
  claim: Claim,
  outcome: Outcome,
  now: number,
): Decision {
  const { message, state } = claim
  const attempt = state.attempts + 1
  if (outcome.kind !== 'deferred') return { claim, outcome, attempt, later: null }
  const noTlsSince = noTlsSinceAfter(state, outcome, now)
  const isNoTls = outcome.cause === 'no-encrypted-path'
  if (isNoTls && noTlsSince !== null && now - noTlsSince >= settings.tlsRetryWindow) {
    const final: Failure = { ...outcome, kind: 'failed', status: withClass(outcome.status, 5) }
    return { claim, outcome: final, attempt, later: null }
  }
  if (now >= message.expiresAt) return { claim, outcome: expired(outcome, claim), attempt, later: null }
  const planned = nextAttemptAt(
    { attempts: attempt, now, expiresAt: message.expiresAt, noTls: isNoTls },
    deps.random,
    settings.retry,
  )
  const milestones = [
    message.expiresAt,
    // On the minute that the sender was promised, not at the next convenient attempt.
    ...(isNoTls && noTlsSince !== null ? [noTlsSince + settings.tlsRetryWindow] : []),
    ...(state.delayNotified ? [] : [message.acceptedAt + settings.delayNoticeAfter]),
  ].filter((moment) => moment > now)
  const at = Math.min(planned, ...milestones)
  const next = { attempts: attempt, lastFailure: outcome, noTlsSince, delayNotified: state.delayNotified }
  return { claim, outcome, attempt, later: { state: next, at } }
}

/** Trouble that says nothing about TLS leaves the window open; a dialogue under TLS ends it. */
function noTlsSinceAfter(state: DeliveryState, failure: Failure, now: number): number | null {
  if (failure.cause === 'no-encrypted-path') return state.noTlsSince ?? now
  return failure.evidence === null ? state.noTlsSince : null
}

function expired(last: Failure, claim: Claim): Failure {
  const hours = Math.round((claim.message.expiresAt - claim.message.acceptedAt) / 3_600_000)
  const detail = `Not delivered within ${hours} h; last: ${last.status} ${last.detail}`
  return { ...last, kind: 'failed', status: '5.4.7', cause: 'expired', detail }
}

const isDelayDue = (claim: Claim, settings: DeliverySettings, now: number): boolean =>
  !claim.state.delayNotified && now - claim.message.acceptedAt >= settings.delayNoticeAfter

/**
 * The notices that the decisions cause, by the index of the claim whose settlement carries them;
 * `unavailable` for each claim whose failure notice could not be made.
 */
async function noticesFor(
  deps: ResultsDeps,
  settings: DeliverySettings,
  job: Job,
  decisions: readonly Decision[],
  now: number,
): Promise<Map<number, NewMessage[] | 'unavailable'>> {
  const planned = new Map<number, NewMessage[] | 'unavailable'>()
  const groups = Map.groupBy(
    decisions.flatMap((decision) => kindsFor(decision, settings, now).map((kind) => ({ kind, decision }))),
    // One notice for those who share a fate; other causes need other words.
    ({ kind, decision: { outcome } }) => `${kind} ${outcome.kind === 'delivered' ? '' : outcome.cause}`,
  )
  for (const group of groups.values()) {
    const [first] = group
    if (first === undefined) continue
    const items = group.map(({ decision: { claim, outcome } }) => ({ claim, outcome }))
    if (job.message.kind === 'notification') {
      if (first.kind === 'failed') noteUndeliverable(deps.log, items)
      continue
    }
    const made = await planNotices(deps, first.kind, job, items, now)
    if (made === 'unavailable') for (const { claim } of items) planned.set(claim.index, made)
    else if (made.length > 0) {
      const { index } = first.decision.claim
      const before = planned.get(index) ?? []
      planned.set(index, before === 'unavailable' ? before : [...before, ...made])
    }
  }
  return planned
}

function kindsFor(
  { claim, outcome, later }: Decision,
  settings: DeliverySettings,
  now: number,
): NoticeKind[] {
  if (outcome.kind === 'failed') return ['failed']
  if (outcome.kind === 'deferred')
    return later !== null && isDelayDue(claim, settings, now) ? ['delayed'] : []
  const { notify } = claim.recipient.dsn
  const kinds: NoticeKind[] = []
  if (Array.isArray(notify) && notify.includes('success')) kinds.push('relayed')
  if (claim.state.delayNotified) kinds.push('delay-over')
  return kinds
}

/** A mail that is delivered or waits keeps its result without its notice; a failure does not (`unavailable`). */
async function planNotices(
  deps: ResultsDeps,
  kind: NoticeKind,
  job: Job,
  items: readonly NoticeItem[],
  now: number,
): Promise<NewMessage[] | 'unavailable'> {
  try {
    const made = await deps.notices.plan(kind, job.message, items, now)
    const recipient = job.message.envelope.reversePath?.text ?? ''
    for (const { meta } of made) {
      deps.log.event('notification.queued', { message: meta.id, about: job.message.id, kind, recipient })
    }
    return made
  } catch (thrown) {
    deps.log.event('relay.fault', { code: 'internal', reason: faultText(thrown), where: `notices.${kind}` })
    return kind === 'failed' ? 'unavailable' : []
  }
}

function noteUndeliverable(log: Log, items: readonly NoticeItem[]): void {
  for (const { claim, outcome } of items) {
    if (outcome.kind === 'delivered') continue
    const recipient = claim.recipient.forwardPath.text
    const { cause, status, detail } = outcome
    log.event('notification.undeliverable', { message: claim.message.id, recipient, cause, status, detail })
  }
}
