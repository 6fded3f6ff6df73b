// A message as the queue keeps it, and the claim that a worker holds on one of its deliveries.
import type { PermitSource } from '../smtp/cleartext-permit.ts'
import type { Envelope, Recipient } from '../smtp/envelope.ts'
import type { SecurityLevel } from '../smtp/security-level.ts'
import type { Failure } from './outcome.ts'

/** Where the body lies until delivery; only the store looks inside. Made by `BodyWriter.finish`. */
export interface StoredBody {
  readonly sizeBytes: number
  /** The octets themselves while they are in memory under the byte budget; `null` = read them from the store. */
  readonly inMemory: readonly Uint8Array[] | null
  /** Store-private location, e.g. `inline` or a file name. */
  readonly location: string
}

/**
 * Everything about a message but its body. Header and body are kept in wire form: lines end in CRLF and
 * leading dots are doubled, so that handing over is copying (performance.md).
 */
export interface MessageMeta {
  readonly id: string
  /** `mail` came from a customer; `notification` is ours, about another message. */
  readonly kind: 'mail' | 'notification'
  readonly customer: string | null
  readonly credential: string | null
  readonly envelope: Omit<Envelope, 'recipients'>
  /** The anonymised header with our trace field on top, dot-stuffed, without the empty line that ends it. */
  readonly header: Uint8Array
  /** Octets of header and body together as they go over the wire, dot-stuffing included. */
  readonly sizeBytes: number
  /** The body holds octets above 127: the next hop must offer 8BITMIME. */
  readonly eightBit: boolean
  /** The header holds UTF-8: the next hop must offer SMTPUTF8. */
  readonly headerUtf8: boolean
  /** Source of the cleartext permit that the message earned, `null` for none. */
  readonly permit: PermitSource | null
  /** The least level the message asks for beyond domain and customer settings. */
  readonly level: SecurityLevel
  /** The mail came to us over TLS (always so for customers): precondition of M6. */
  readonly receivedOverTls: boolean
  /** Epoch ms. */
  readonly acceptedAt: number
  readonly expiresAt: number
}

/** A new message with its recipients, ready to be made durable. */
export interface NewMessage {
  readonly meta: MessageMeta
  readonly recipients: readonly Recipient[]
  readonly body: StoredBody
}

/** What the queue remembers of a delivery between attempts. */
export interface DeliveryState {
  /** Attempts made so far, the claimed one not counted. */
  readonly attempts: number
  /** The last failure, `null` before the first attempt. */
  readonly lastFailure: Failure | null
  /** Since when no encrypted path was found, epoch ms; `null` while that is not the trouble (T1). */
  readonly noTlsSince: number | null
  /** A delay notice was sent (N2). */
  readonly delayNotified: boolean
}

/** The right to attempt one delivery now. Fenced: results count only while owner and token still match. */
export interface Claim {
  readonly message: MessageMeta
  readonly body: StoredBody
  /** Position of the recipient within its message; with the message id the identity of the delivery. */
  readonly index: number
  readonly recipient: Recipient
  readonly state: DeliveryState
  readonly token: number
  /** Next hop that an operator chose instead of the domain's own, `host:port`; `null` in the normal case. */
  readonly route: string | null
  /** `drop`: an operator ended this delivery; the worker fails it (cause `operator`) instead of attempting it. */
  readonly order: 'deliver' | 'drop' | 'drop-silently'
}
