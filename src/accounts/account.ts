// Customers, what they may send as, and their logins (product rows S3, S4, A1 in their first form).
import type { Domain } from '../smtp/domain.ts'

/** Who pays. `name` is unique and stable; it stands in journal and log. */
export interface Customer {
  readonly name: string
  /** Any local-part of these domains (domain licences), A-labels. */
  readonly domains: readonly Domain[]
  /** Single licensed addresses in the comparable form of `mailboxKey` (mailbox licences). */
  readonly addresses: readonly string[]
  /** May this customer use cleartext permits at all (M5)? */
  readonly cleartextAllowed: boolean
  /** The null reverse-path is allowed, for the notices of the customer's own mail server (decision 3). */
  readonly nullReversePathAllowed: boolean
}

/** One login of a customer, e.g. one per device. */
export interface Credential {
  readonly login: string
  readonly customer: string
  /** Self-describing memory-hard hash, see `password.ts`. Never logged. */
  readonly passwordHash: string
}

/** What a successful login yields. */
export interface Identity {
  readonly login: string
  readonly customer: Customer
}
