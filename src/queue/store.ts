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
  /** Why not, for readiness and log: `disk-low`, `disk-full`, `spool-unwritable`, `database-away`, `closing`. */
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

/** Which deliveries an operator means; all given conditions must hold. An empty filter means all. */
export interface DeliveryFilter {
  readonly messageId?: string
  /** Position of the recipient within the message. */
  readonly index?: number
  readonly domain?: string
  readonly customer?: string
  /** Accepted at or before this moment, epoch ms. */
  readonly acceptedBefore?: number
  /** Cause of the last failure, one of `CAUSES`. */
  readonly cause?: string
  readonly status?: QueueListing['status']
}

/** What operators do to deliveries that no attempt holds right now; each returns how many it changed. */
export interface QueueControl {
  /** Deliveries in order of age, `limit` after `after` (a `messageId:index`). */
  list(options: DeliveryFilter & { readonly limit: number; readonly after?: string }): Promise<QueueListing[]>
  counts(): Promise<{ waiting: number; active: number; held: number }>
  /** Makes waiting deliveries due now. */
  retryNow(filter: DeliveryFilter): Promise<number>
  /** Waiting → held: no attempt until they are released. Their lifetime runs on. */
  hold(filter: DeliveryFilter): Promise<number>
  /** Held → waiting, due now. */
  unhold(filter: DeliveryFilter): Promise<number>
  /** Waiting or held → due now with the order to fail (`tellSender`: with a notice, cause `operator`). */
  drop(filter: DeliveryFilter, tellSender: boolean): Promise<number>
  /** Sends them to `route` (`host:port`) instead of the domain's MX hosts, `null` to undo; due now. */
  move(filter: DeliveryFilter, route: string | null): Promise<number>
}

/** How many messages need a master key. The empty id counts messages that are not encrypted. */
export interface MasterKeyUsage {
  readonly id: string
  readonly messages: number
}

/** What operators must know before they retire a master key (A4): one that counts no message is needed no more. */
export interface MasterKeyControl {
  masterKeyUsage(): Promise<MasterKeyUsage[]>
}

export interface QueueStore extends QueueControl {
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
  /**
   * Up to `limit` due, unowned deliveries, oldest due first, none for a destination in `skipDomains`: the route
   * of a delivery that an operator moved, else its domain. What is ordered to be dropped is never skipped:
   * operators drop and move just what waits for a dead destination. Route and order outlive a `settle` with
   * `later` and a `release`.
   */
  claim(limit: number, skipDomains: ReadonlySet<string>): Promise<Claim[]>
  /** The body of a claimed message in wire form, in order. The iterable owns its file handle and closes it. */
  readBody(message: MessageMeta, body: StoredBody): AsyncIterable<Uint8Array>
  /** Records results in one transaction per call (or a group of calls); the last delivery takes its message along. */
  settle(settlements: readonly Settlement[]): Promise<SettleResult[]>
  /** Gives claims back untouched, due at once (shutdown). */
  release(claims: readonly Claim[]): Promise<void>
  /** Epoch ms when the next unowned delivery is due, `null` when none waits. */
  nextDue(): Promise<number | null>
  /**
   * Does this node still own its claims? Asked right before the final dot: a node that was paused beyond its
   * lease must not send (fencing). Answers at once, from the monotonic clock; always true for one machine.
   * @param claims those that are about to be used; without them the answer is about all that were handed out
   */
  mayStillSend(claims?: readonly Claim[]): boolean
  /** Calls `wake` when work may have become due through somebody else (operator, other node). */
  onDue(wake: () => void): void
  /** Removes what has outlived its time, in small steps: journal entries, orphans. Returns what it removed. */
  sweep(budgetMs: number, keep: { journalMs: number }): Promise<{ journalEntries: number; orphans: number }>
  /** Stops after the commits that are under way. */
  stop(): Promise<void>
}

/** What submission needs to know of recipients when it builds a message. */
export type { Recipient }
