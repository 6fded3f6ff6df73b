// One outcome as facts: the journal entry (kept with the queue) and the log event, from the same values, so
// that the two can be reconciled. Holds no content.
import type { JournalEntry } from '../../journal/entry.ts'
import type { Log } from '../../observability/log.ts'
import type { Claim } from '../../queue/message.ts'
import type { Outcome } from '../../queue/outcome.ts'
import { formatReply } from '../../smtp/reply.ts'
import type { SecurityLevel } from '../../smtp/security-level.ts'
import type { TransportEvidence } from '../../smtp/tls-evidence.ts'

/** What is recorded about one outcome of one delivery. */
export interface Recorded {
  readonly claim: Claim
  readonly outcome: Outcome
  /** What the path had to fulfil; `null` when it was not attempted. */
  readonly levelWanted: SecurityLevel | null
  /** Epoch ms. */
  readonly at: number
  /** 1 for the first attempt. */
  readonly attempt: number
  /** For deferrals: when it is tried again, epoch ms. */
  readonly nextAttemptAt: number | null
}

export function journalEntryOf(recorded: Recorded): JournalEntry {
  const { claim, outcome, at } = recorded
  return { ...identityOf(claim), at, kind: outcome.kind, facts: factsOf(recorded) }
}

/** A delivery that an operator ended without a word to the sender. @param at epoch ms */
export function droppedEntryOf(claim: Claim, at: number): JournalEntry {
  const { attempts, lastFailure } = claim.state
  const last =
    lastFailure === null
      ? {}
      : { status: lastFailure.status, cause: lastFailure.cause, detail: lastFailure.detail }
  return {
    ...identityOf(claim),
    at,
    kind: 'dropped',
    facts: { attempt: attempts, senderTold: false, ...last },
  }
}

export function logDropped(log: Log, claim: Claim): void {
  const { messageId, ...rest } = identityOf(claim)
  log.event('delivery.dropped', { message: messageId, ...rest, attempt: claim.state.attempts })
}

const identityOf = ({ message, recipient }: Claim) => ({
  messageId: message.id,
  customer: message.customer,
  reversePath: message.envelope.reversePath?.text ?? '',
  forwardPath: recipient.forwardPath.text,
})

export function logOutcome(log: Log, recorded: Recorded): void {
  const { claim, outcome, levelWanted, at, attempt } = recorded
  const { messageId, ...rest } = identityOf(claim)
  const common = {
    message: messageId,
    ...rest,
    mxHost: outcome.place.mxHost,
    address: outcome.place.address,
    reply: outcome.reply === null ? null : formatReply(outcome.reply),
    attempt,
  }
  if (outcome.kind === 'delivered') {
    const queuedMs = at - claim.message.acceptedAt
    const { certificateSha256: _, ...transport } = transportFacts(outcome.evidence)
    log.event('delivery.delivered', { ...common, ...transport, levelWanted, queuedMs })
    return
  }
  const { scope, status, cause, detail } = outcome
  if (outcome.kind === 'failed') log.event('delivery.failed', { ...common, scope, status, cause, detail })
  else {
    const nextAttemptAt =
      recorded.nextAttemptAt === null ? null : new Date(recorded.nextAttemptAt).toISOString()
    log.event('delivery.deferred', { ...common, scope, status, cause, detail, nextAttemptAt })
  }
}

function factsOf({
  claim,
  outcome,
  levelWanted,
  at,
  attempt,
  nextAttemptAt,
}: Recorded): JournalEntry['facts'] {
  const { place, evidence } = outcome
  return {
    mxHost: place.mxHost,
    address: place.address,
    port: place.port,
    reply: outcome.reply === null ? null : formatReply(outcome.reply),
    levelWanted,
    ...(evidence === null ? {} : transportFacts(evidence)),
    attempt,
    ...(outcome.kind === 'delivered'
      ? { sizeBytes: claim.message.sizeBytes, queuedMs: at - claim.message.acceptedAt }
      : { scope: outcome.scope, status: outcome.status, cause: outcome.cause, detail: outcome.detail }),
    ...(nextAttemptAt === null ? {} : { nextAttemptAt }),
  }
}

function transportFacts(evidence: TransportEvidence) {
  if (evidence.kind === 'cleartext') return { transport: 'cleartext', permit: evidence.permitSource }
  return {
    transport: 'tls',
    tlsProtocol: evidence.protocol,
    tlsCipher: evidence.cipher,
    tlsGroup: evidence.group,
    authenticatedBy: evidence.authenticatedBy,
    levelReached: evidence.level,
    certificateSha256: evidence.certificateSha256,
  }
}
