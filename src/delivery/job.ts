// The unit of work: deliveries of one message to one domain by one way, which travel in one transaction. Pure.
import type { Claim, MessageMeta } from '../queue/message.ts'
import type { Failure, Outcome } from '../queue/outcome.ts'
import type { Domain } from '../smtp/domain.ts'

/** Deliveries of one message to one domain; never empty, at most 100. */
export interface Job {
  readonly domain: Domain
  /** Next hop that an operator chose instead of the domain's own, `host:port`; `null` in the normal case. */
  readonly route: string | null
  /** Anything but `deliver`: not attempted, ended by an operator's order. */
  readonly order: Claim['order']
  readonly message: MessageMeta
  readonly claims: readonly Claim[]
}

/** RFC 5321 §4.5.3.1.8: what every server takes in one transaction. */
const RECIPIENTS_MAX = 100

/** Where a job goes: what is out of service, saturated or connected is so as a whole. A route is no domain. */
export const destinationOf = ({ domain, route }: Pick<Job, 'domain' | 'route'>): string => route ?? domain

/** Jobs of claims: those of one message to one domain with one fate go together, at most 100 in one transaction. */
export function jobsOf(claims: readonly Claim[]): Job[] {
  const jobs: Job[] = []
  const groups = Map.groupBy(claims, ({ message, recipient, route, order }) =>
    [message.id, recipient.forwardPath.domain, route ?? '', order].join(' '),
  )
  for (const group of groups.values()) {
    for (let start = 0; start < group.length; start += RECIPIENTS_MAX) {
      const part = group.slice(start, start + RECIPIENTS_MAX)
      const [first] = part
      if (first === undefined) continue
      const { message, route, order } = first
      jobs.push({ domain: first.recipient.forwardPath.domain, route, order, message, claims: part })
    }
  }
  return jobs
}

/**
 * What the outcomes say about the hosts of the destination: `null` that they work, a failure that they do
 * not, `undefined` nothing. A refusal, or the lack of TLS, is the answer of a working host.
 */
export function troubleOf(outcomes: readonly Outcome[]): Failure | null | undefined {
  let trouble: Failure | undefined
  for (const outcome of outcomes) {
    if (outcome.kind === 'delivered' || outcome.evidence !== null) return null
    if (outcome.cause === 'no-encrypted-path') return null
    const isHosts = outcome.scope === 'host' || outcome.scope === 'domain'
    if (outcome.kind === 'deferred' && isHosts && outcome.cause !== 'local-fault') trouble = outcome
  }
  return trouble
}
