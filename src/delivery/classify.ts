// The one place where what a next hop said, or what the network did, becomes an outcome: scope, status, cause.
// Everything later (queue, journal, log, notice) reads the outcome and never a reply text. Pure.
//
// Unknown means temporary: only a 5xx, or an obstacle that we know to be final, makes a delivery fail. The
// reply code decides that, never the enhanced code; the enhanced code and the text decide the cause.
// RFC 5321 §4.2, RFC 3463, RFC 5248, standards.md 2.10.
import type { AttemptPlace, Cause, Failure, Outcome, Scope } from '../queue/outcome.ts'
import type { EnhancedStatus } from '../smtp/enhanced-status.ts'
import { type Reply, replyClass } from '../smtp/reply.ts'
import type { TransportEvidence } from '../smtp/tls-evidence.ts'
import { causeOf, type Stage, statusOf } from './classify/reply-patterns.ts'
import type { Obstacle } from './client/commands.ts'
import type { Opening } from './client/session.ts'
import type { Transcript } from './client/transaction.ts'
import type { Trouble } from './client/wire.ts'

/** Where an attempt stands; part of every outcome. */
export interface Standing {
  readonly place: AttemptPlace
  readonly evidence: TransportEvidence | null
}

export const NOWHERE: Standing = { place: { mxHost: null, address: null, port: null }, evidence: null }

/** A failure that no reply stands behind. */
export function ownFailure(
  kind: 'deferred' | 'failed',
  scope: Scope,
  status: EnhancedStatus,
  cause: Cause,
  detail: string,
  standing: Standing = NOWHERE,
): Failure {
  return { kind, scope, status, cause, reply: null, detail, ...standing }
}

/** A reply that is not success. 421 and what is no valid reply class speak about the session. */
export function classifyReply(reply: Reply, stage: Stage, standing: Standing): Failure {
  const permanent = replyClass(reply) === 'permanent'
  const scope = reply.code === 421 && SCOPES[stage] !== 'host' ? 'session' : SCOPES[stage]
  return {
    // A host that greets with 5xx says that about itself: others are asked, later the same one again.
    kind: permanent && scope !== 'host' ? 'failed' : 'deferred',
    scope: permanent && scope === 'session' ? 'message' : scope,
    status: permanent && scope === 'host' ? '4.3.0' : statusOf(reply, stage),
    cause: causeOf(reply, stage),
    reply,
    detail: `The host answered ${STAGE_NAMES[stage]} with ${reply.code}.`,
    ...standing,
  }
}

const SCOPES: Readonly<Record<Stage, Scope>> = {
  greeting: 'host',
  ehlo: 'host',
  mail: 'session',
  rcpt: 'recipient',
  data: 'message',
  content: 'message',
}

const STAGE_NAMES: Readonly<Record<Stage, string>> = {
  greeting: 'the connection',
  ehlo: 'EHLO',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  content: 'the message',
}

/** A dialogue that ended without a reply. Always temporary. */
export function classifyTrouble(trouble: Trouble, scope: Scope, standing: Standing): Failure {
  switch (trouble.kind) {
    case 'connect':
      return ownFailure('deferred', scope, '4.4.1', 'connection-trouble', trouble.detail, standing)
    case 'timeout':
    case 'closed':
      return ownFailure('deferred', scope, '4.4.2', 'connection-trouble', trouble.detail, standing)
    case 'protocol':
      return ownFailure('deferred', scope, '4.5.0', 'recipient-trouble', trouble.detail, standing)
    case 'stopped':
      return ownFailure('deferred', 'session', '4.3.2', 'local-fault', trouble.detail, standing)
    default:
      return trouble.kind satisfies never
  }
}

/** A session that did not come about. `null` for one that did. */
export function classifyOpening(opening: Opening, place: AttemptPlace): Failure | null {
  const standing = { place, evidence: null }
  switch (opening.kind) {
    case 'open':
      return null
    case 'no-tls': {
      // 4.7.10 encryption needed; 4.7.5 cryptographic failure. RFC 3463 §3.8, RFC 5248.
      const status = opening.reason === 'handshake' || opening.reason === 'injected' ? '4.7.5' : '4.7.10'
      const failure = ownFailure('deferred', 'host', status, 'no-encrypted-path', opening.detail, standing)
      return { ...failure, reply: opening.reply }
    }
    case 'not-authenticated':
      return ownFailure('deferred', 'host', '4.7.5', 'peer-not-authenticated', opening.detail, {
        place,
        evidence: opening.evidence,
      })
    case 'refused':
      return classifyReply(opening.reply, opening.stage, standing)
    case 'trouble':
      return classifyTrouble(opening.trouble, 'host', standing)
    default:
      return opening satisfies never
  }
}

/** What a hop cannot carry: final, and no other host of the domain is asked (product row S11). */
export function classifyObstacle(
  obstacle: Obstacle,
  scope: 'message' | 'recipient',
  standing: Standing,
): Failure {
  switch (obstacle) {
    case 'too-large':
      return ownFailure(
        'failed',
        scope,
        '5.3.4',
        'message-too-large',
        'The message is larger than the host takes.',
        standing,
      )
    case 'eight-bit':
      return ownFailure(
        'failed',
        scope,
        '5.6.3',
        'conversion-needed',
        'The host does not take 8-bit messages.',
        standing,
      )
    case 'smtputf8':
      return ownFailure(
        'failed',
        scope,
        '5.6.7',
        'conversion-needed',
        'The host does not take addresses or header fields beyond ASCII.',
        standing,
      )
    case 'requiretls':
      return ownFailure(
        'failed',
        scope,
        '5.7.30',
        'requiretls-unsupported',
        'The host does not support REQUIRETLS.',
        standing,
      )
    default:
      return obstacle satisfies never
  }
}

/** The outcome for each recipient of a transaction, in order of its RCPT commands. */
export function classifyTranscript(
  transcript: Transcript,
  standing: Standing & { readonly evidence: TransportEvidence },
  dsnPassedOn: boolean,
): Outcome[] {
  return transcript.recipients.map((rcpt) => outcomeFor(transcript, rcpt, standing, dsnPassedOn))
}

function outcomeFor(
  transcript: Transcript,
  rcpt: Reply | null,
  standing: Standing & { readonly evidence: TransportEvidence },
  dsnPassedOn: boolean,
): Outcome {
  const { mail, data, final, trouble } = transcript
  if (mail !== null && replyClass(mail) !== 'success') return classifyReply(mail, 'mail', standing)
  if (rcpt !== null && replyClass(rcpt) !== 'success') return classifyReply(rcpt, 'rcpt', standing)
  if (final !== null) {
    if (replyClass(final) === 'success') return { kind: 'delivered', reply: final, ...standing, dsnPassedOn }
    return classifyReply(final, 'content', standing)
  }
  if (transcript.inDoubt) {
    const detail = `${trouble?.detail ?? ''} The message was sent completely; whether it arrived is in doubt.`
    return ownFailure('deferred', 'message', '4.4.2', 'connection-trouble', detail.trim(), standing)
  }
  if (data !== null && data.code !== 354 && replyClass(data) !== 'success') {
    return classifyReply(data, 'data', standing)
  }
  const goodbye = transcript.recipients.find((reply) => reply?.code === 421)
  if (goodbye) return classifyReply(goodbye, 'rcpt', standing)
  if (trouble !== null) return classifyTrouble(trouble, 'session', standing)
  return ownFailure(
    'deferred',
    'session',
    '4.5.0',
    'recipient-trouble',
    'The host did not finish the dialogue.',
    standing,
  )
}
