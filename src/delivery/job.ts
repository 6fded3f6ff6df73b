// The unit of work: deliveries of one message to one domain, which travel in one transaction. Pure.
import type { Claim, MessageMeta } from '../queue/message.ts'
import type { Failure, Outcome } from '../queue/outcome.ts'
import type { Domain } from '../smtp/domain.ts'

/** Deliveries of one message to one domain; never empty, at most 100. */
export interface Job {
  readonly domain: Domain
  readonly message: MessageMeta
  readonly claims: readonly Claim[]
}

/** RFC 5321 §4.5.3.1.8: what every server takes in one transaction. */
const RECIPIENTS_MAX = 100

/** Jobs of claims: those of one message to one domain go together, at most 100 in one transaction. */
export function jobsOf(claims: readonly Claim[]): Job[] {
  const jobs: Job[] = []
  const groups = Map.groupBy(claims, (claim) => `${claim.message.id} ${claim.recipient.forwardPath.domain}`)
  for (const group of groups.values()) {
    for (let start = 0; start < group.length; start += RECIPIENTS_MAX) {
      const part = group.slice(start, start + RECIPIENTS_MAX)
      const [first] = part
      if (first === undefined) continue
      jobs.push({ domain: first.recipient.forwardPath.domain, message: first.message, claims: part })
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
