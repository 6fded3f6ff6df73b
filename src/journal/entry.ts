// The event log: one entry for each thing that happened to a message, kept for 28 days (A3). No content, no
// subject, no password ever: the types hold no place for them.

export type JournalKind =
  | 'accepted'
  | 'delivered'
  | 'deferred'
  | 'failed'
  | 'notified'
  | 'held'
  | 'released'
  | 'dropped'

export interface JournalEntry {
  /** Epoch ms. */
  readonly at: number
  readonly kind: JournalKind
  readonly messageId: string
  /** Customer name, `null` for our own notices. */
  readonly customer: string | null
  readonly reversePath: string
  /** The recipient concerned, `null` when the entry is about the whole message. */
  readonly forwardPath: string | null
  /**
   * Facts in the fixed vocabulary of `docs/events.md`: reply, status, cause, MX host, address, TLS version,
   * suite, group, level wanted and reached, size, permit source. Values are sanitised and short.
   */
  readonly facts: Readonly<Record<string, string | number | boolean | null>>
}
