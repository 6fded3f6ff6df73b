// The port of the queue: what any store must do (house-style.md 2). `store/sqlite` implements it for one
// machine, `store/postgres` for several; `test/contract` holds both to the same promises.
//
// The promise behind every 250: `enqueue` resolves only when message, recipients and journal entry are on
// stable storage. Everything that belongs together is one transaction: results of deliveries, the notices
// they cause, and the journal entries about them.
import type { JournalEntry } from '../journal/entry.ts'
import type { Recipient } from '../smtp/envelope.ts'
import type { Claim, DeliveryState, MessageMeta, NewMessage, StoredBody } from './message.ts'

/** Receives the body of one message in wire form. Exactly one of `finish` and `abort` ends it. */
export interface BodyWriter {
  /**
   * Takes over `chunk` (do not change it afterwards). Returns a promise when the caller should wait before
   * sending more (back-pressure), `null` when not. After a write fault the promise of `finish` rejects.
   */
  write(chunk: Uint8Array): Promise<void> | null
  /** All octets are in. For large bodies: the file is synced when this resolves. */
  finish(): Promise<StoredBody>
  /** Forget what was written and free its place. Never throws. */
  abort(): void
}

/** A delivery's new state after an attempt; see docs/queue-states.md. */
export type Settlement = {
  readonly claim: Claim
  readonly entries: readonly JournalEntry[]
  /** Notices that this result causes, enqueued in the same transaction, unleased. */
  readonly notices: readonly NewMessage[]
} & (
  | { readonly kind: 'done' }
  | { readonly kind: 'later'; readonly state: DeliveryState; readonly nextAttemptAt: number }
)

/** `fenced`: somebody else owns the delivery by now and nothing was written. */
export type SettleResult = 'ok' | 'fenced'

export interface StoreHealth {
  readonly accepting: boolean
  /** Why not, for readiness and log: `disk-low`, `disk-full`, `database-away`, `closing`. */
  readonly reason: string | null
}

/** One waiting delivery as operators see it. */
export interface QueueListing {
  readonly messageId: string
  readonly index: number
  readonly customer: string | null
  readonly reversePath: string
  readonly forwardPath: string
  readonly domain: string
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly attempts: number
  /** Epoch ms of the next attempt; `null` while one is running or the delivery is held. */
  readonly nextAttemptAt: number | null
  readonly status: 'waiting' | 'active' | 'held'
  readonly lastFailure: { readonly status: string; readonly cause: string; readonly text: string } | null
}

export interface QueueStore {
  /** Opens, migrates, releases what a former incarnation of this node had claimed, sweeps orphans. */
  start(): Promise<void>
  /** Read before every transaction is begun; cheap. */
  health(): StoreHealth
  /** Begins to spool a body. `messageId` names the file of a large one. */
  beginBody(messageId: string): BodyWriter
  /**
   * Makes the message durable and returns claims on all its deliveries, already leased to this node, so that
   * the normal case needs no further look-up. With `lease: false` the deliveries are due at once and unowned,
   * and the result is empty. Rejects (nothing stored) on any fault: the caller answers 451.
   */
  enqueue(
    message: NewMessage,
    entries: readonly JournalEntry[],
    options: { lease: boolean },
  ): Promise<Claim[]>
  /** Up to `limit` due, unowned deliveries, oldest due first, none for a domain in `skipDomains`. */
  claim(limit: number, skipDomains: ReadonlySet<string>): Promise<Claim[]>
  /** The body of a claimed message in wire form, in order. The iterable owns its file handle and closes it. */
  readBody(message: MessageMeta, body: StoredBody): AsyncIterable<Uint8Array>
  /** Records results in one transaction per call (or a group of calls); the last delivery takes its message along. */
  settle(settlements: readonly Settlement[]): Promise<SettleResult[]>
  /** Gives claims back untouched, due at once (shutdown). */
  release(claims: readonly Claim[]): Promise<void>
  /** Epoch ms when the next unowned delivery is due, `null` when none waits. */
  nextDue(): Promise<number | null>
  /** Waiting deliveries in order of age, `limit` after `after` (a `messageId:index`). */
  list(options: {
    limit: number
    after?: string
    domain?: string
    customer?: string
  }): Promise<QueueListing[]>
  /** Makes waiting deliveries due now; returns how many. */
  retryNow(filter: { messageId?: string; domain?: string }): Promise<number>
  counts(): Promise<{ waiting: number; active: number; held: number }>
  /** Removes what has outlived its time, in small steps: journal entries, orphans. Returns what it removed. */
  sweep(budgetMs: number, keep: { journalMs: number }): Promise<{ journalEntries: number; orphans: number }>
  /** Stops after the commits that are under way. */
  stop(): Promise<void>
}

/** What submission needs to know of recipients when it builds a message. */
export type { Recipient }
