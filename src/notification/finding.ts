// What is known about one delivery when its notice is written: outcome and earlier failure put together, with
// the status in the class that the action demands (RFC 3464 §2.3.4: `failed` never goes with 4.x.x).
import type { NoticeItem, NoticeKind } from '../queue/notice.ts'
import type { AttemptPlace, Cause } from '../queue/outcome.ts'
import { type EnhancedStatus, withClass } from '../smtp/enhanced-status.ts'
import type { Recipient } from '../smtp/envelope.ts'
import { formatReply, type Reply, sanitiseText } from '../smtp/reply.ts'
import type { TransportEvidence } from '../smtp/tls-evidence.ts'

export interface Finding {
  readonly recipient: Recipient
  readonly status: EnhancedStatus
  /** The cause of the failure; `null` after success. */
  readonly cause: Cause | null
  /** Behind `expired`: the trouble that lasted until then; else `null`. */
  readonly lastingCause: Cause | null
  /** The next hop's own words, `null` when it said nothing. */
  readonly reply: Reply | null
  /** What happened in one sentence for technicians; empty after success. Sanitised. */
  readonly detail: string
  readonly place: AttemptPlace
  /** How the message travelled or would have; `null` when nothing was negotiated. */
  readonly evidence: TransportEvidence | null
}

const DETAIL_LENGTH_MAX = 500

/** Puts the finding of one item together for a notice of `kind`. */
export function findingOf(kind: NoticeKind, { claim, outcome }: NoticeItem): Finding {
  const { recipient } = claim
  if (outcome.kind === 'delivered') {
    const { reply, place, evidence } = outcome
    const status = reply.enhanced?.startsWith('2.') ? reply.enhanced : '2.0.0'
    return { recipient, status, cause: null, lastingCause: null, reply, detail: '', place, evidence }
  }
  // A deadline that passed says little: the failure before it says why.
  const earlier = outcome.cause === 'expired' ? claim.state.lastFailure : null
  const lasting = earlier !== null && earlier.cause !== 'expired' ? earlier : null
  return {
    recipient,
    status: withClass(outcome.status, kind === 'delayed' ? 4 : 5),
    cause: outcome.cause,
    lastingCause: lasting?.cause ?? null,
    reply: outcome.reply ?? lasting?.reply ?? null,
    detail: sanitiseText(
      [outcome.detail, lasting?.detail].filter(Boolean).join(' / '),
      DETAIL_LENGTH_MAX,
    ).trim(),
    place: outcome.place.mxHost === null && lasting ? lasting.place : outcome.place,
    evidence: outcome.evidence ?? lasting?.evidence ?? null,
  }
}

/** The last words about the delivery on one line: the reply, else our own detail. Sanitised, bounded. */
export const lastWords = (finding: Finding): string =>
  finding.reply === null ? finding.detail : formatReply(finding.reply)
