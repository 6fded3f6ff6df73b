// What became of one attempt to deliver to one recipient. Built in one place (`delivery/classify.ts`) and
// carried unchanged into queue, journal, log and notification: nobody parses a reply text twice.
import type { EnhancedStatus } from '../smtp/enhanced-status.ts'
import type { Reply } from '../smtp/reply.ts'
import type { TransportEvidence } from '../smtp/tls-evidence.ts'

/** Who else is affected by a failure. After Postfix's smtp_trouble. */
export type Scope = 'recipient' | 'message' | 'session' | 'host' | 'domain'

/** The closed set of causes that notices explain in plain words (product row N1). */
export type Cause = (typeof CAUSES)[number]

export const CAUSES = [
  'address-unknown',
  'domain-unknown',
  'domain-takes-no-mail',
  'mailbox-full',
  'message-too-large',
  'attachment-refused',
  'virus',
  'spam',
  'policy',
  'conversion-needed',
  'no-encrypted-path',
  'peer-not-authenticated',
  'requiretls-unsupported',
  'address-not-allowed',
  'loop',
  'dns-trouble',
  'connection-trouble',
  'recipient-trouble',
  'expired',
  'operator',
  'local-fault',
  'unknown',
] as const

/** Where and with whom an attempt took place; fields are `null` when it did not get that far. */
export interface AttemptPlace {
  readonly mxHost: string | null
  readonly address: string | null
  readonly port: number | null
}

export type Outcome =
  | {
      readonly kind: 'delivered'
      /** The final reply after the data, with the next hop's acceptance id. */
      readonly reply: Reply
      readonly place: AttemptPlace
      readonly evidence: TransportEvidence
      /** The next hop offered DSN and got the parameters: it answers for NOTIFY from here on (RFC 3461 §5.2). */
      readonly dsnPassedOn: boolean
    }
  | {
      readonly kind: 'deferred' | 'failed'
      readonly scope: Scope
      readonly status: EnhancedStatus
      readonly cause: Cause
      /** The next hop's own words, or `null` when the trouble is ours or the network's. */
      readonly reply: Reply | null
      /** One sentence in English about what happened, for the log and the technical block of a notice. */
      readonly detail: string
      readonly place: AttemptPlace
      readonly evidence: TransportEvidence | null
    }

export type Failure = Extract<Outcome, { kind: 'deferred' | 'failed' }>
