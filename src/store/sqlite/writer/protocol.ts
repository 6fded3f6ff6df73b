// What the main thread may ask of the thread that owns the databases, and how requests travel: plain values,
// and all octets of a packet in one transferred buffer (one copy, no clone per field). The command line runs
// the same operations in its own process, see admin.ts.
import type { FaultCode } from '../../../runtime/fault.ts'
import type { EventRow, MessageRecord } from '../../record.ts'

/**
 * A message as it is written. What is sealed stands in the packet, in this order: wrapped key, envelope, the
 * recipients, the inline body.
 */
export type MessageRow = Omit<MessageRecord, 'wrappedKey' | 'envelope' | 'deliveries' | 'body'> & {
  readonly wrappedKeyBytes: number
  readonly envelopeBytes: number
  readonly deliveries: readonly { readonly domain: string; readonly recipientBytes: number }[]
  /** Octets of the sealed inline body; 0 when it lies in a file. */
  readonly storedBytes: number
}

/** Identity of a delivery and the token of the claim on it. */
export interface ClaimKey {
  readonly messageId: string
  readonly position: number
  readonly token: number
}

/** Its octets: the sealed state, then the notices. */
export interface SettleRow extends ClaimKey {
  readonly events: readonly EventRow[]
  readonly notices: readonly MessageRow[]
  /** `null`: done, the delivery goes away. */
  readonly later: {
    readonly nextAt: number
    readonly attempts: number
    /** Cause of the last failure. */
    readonly cause: string | null
    /** Why it is put aside, `null` when it is not. */
    readonly held: string | null
    /** 0: the state is left as it is. */
    readonly stateBytes: number
  } | null
}

/** A message's key as it is stored. */
export interface StoredKey {
  readonly id: string
  readonly masterKey: string
  readonly wrappedKey: Uint8Array
}

/** A message as it is read. */
export interface StoredMessage extends StoredKey {
  readonly customer: string | null
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly location: 'inline' | 'file'
  readonly bodyBytes: number
  readonly envelope: Uint8Array
}

export interface ClaimedDelivery extends ClaimKey {
  readonly domain: string
  readonly recipient: Uint8Array
  readonly state: Uint8Array | null
  readonly route: string | null
  readonly order: 'deliver' | 'drop' | 'drop-silently'
}

export interface ListedRow {
  readonly messageId: string
  readonly position: number
  readonly domain: string
  readonly recipient: Uint8Array
  readonly state: Uint8Array | null
  readonly attempts: number
  readonly nextAt: number
  readonly status: DeliveryStatus
}

export type DeliveryStatus = 'waiting' | 'active' | 'held'

/** Where a walk goes on: the last row that was looked at. */
export interface Cursor {
  readonly seq: number
  readonly position: number
}

/** The next part of a walk over all deliveries by age. */
export interface Walk {
  readonly after: Cursor
  /** The last message to look at. */
  readonly until: number
  /** Rows to look at, at most. */
  readonly step: number
  /** Rows to find, at most. */
  readonly limit: number
  readonly filter: RowFilter
}

/** Conditions that must all hold; `null` for one that was not given. */
export interface RowFilter {
  readonly position: number | null
  readonly domain: string | null
  readonly customer: string | null
  readonly acceptedBefore: number | null
  readonly cause: string | null
  readonly status: DeliveryStatus | null
}

/** What operators do to deliveries. */
export type Change =
  | { readonly kind: 'retry' | 'hold' | 'unhold' }
  | { readonly kind: 'drop'; readonly order: 'drop' | 'drop-silently' }
  | { readonly kind: 'move'; readonly route: string | null }

/** A customer with lists as JSON. */
export interface CustomerRow {
  readonly name: string
  readonly domains: string
  readonly addresses: string
  readonly cleartextAllowed: boolean
  readonly nullReversePathAllowed: boolean
}

export interface CredentialRow {
  readonly login: string
  readonly customer: string
  readonly passwordHash: string
}

/** Every operation with what it takes and what it gives. */
export interface Operations {
  begin: { takes: { now: number }; gives: { incarnation: number; recovered: number } }
  enqueue: {
    takes: { message: MessageRow; lease: boolean; dueAt: number; events: readonly EventRow[] }
    gives: null
  }
  claim: {
    takes: { now: number; limit: number; skip: readonly string[] }
    gives: { messages: StoredMessage[]; deliveries: ClaimedDelivery[]; orphaned: number }
  }
  /** `emptied`: messages whose file may be unlinked now. */
  settle: {
    takes: { now: number; rows: readonly SettleRow[] }
    gives: { results: ('ok' | 'fenced')[]; emptied: string[] }
  }
  release: { takes: { now: number; claims: readonly ClaimKey[] }; gives: null }
  hold: { takes: { claim: ClaimKey; reason: string; events: readonly EventRow[] }; gives: null }
  /** `next` is `null` when there is nothing more. */
  change: {
    takes: { now: number; walk: Walk; change: Change }
    gives: { changed: number; next: Cursor | null }
  }
  /** Held deliveries whose lifetime is over become due, ordered to be dropped. Gives how many. */
  expireHeld: { takes: { now: number; limit: number }; gives: number }
  /** Octets: the wrapped keys in order. A message that is gone or has another master key by now is left alone. */
  rewrap: {
    takes: { rows: readonly { messageId: string; from: string; to: string; wrappedKeyBytes: number }[] }
    gives: null
  }
  append: { takes: { events: readonly EventRow[] }; gives: null }
  expire: { takes: { before: number; limit: number }; gives: number }
  /** Gives `pages` free pages back to the file system when more than `keep` are free. */
  compact: { takes: { pages: number; keep: number }; gives: null }
  /** On a full disk: gives back what the database does not need, and its WAL. */
  makeRoom: { takes: { pages: number }; gives: null }
  recovered: { takes: null; gives: null }
  /** `octets`: the inline body as it is stored, `null` when it lies in a file. `null`: no such message. */
  body: { takes: { messageId: string }; gives: { key: StoredKey; octets: Uint8Array | null } | null }
  known: { takes: { ids: readonly string[] }; gives: string[] }
  keys: { takes: { ids: readonly string[] }; gives: StoredKey[] }
  /** How many messages each master key is needed for; the empty id counts what is not encrypted. */
  keyUsage: { takes: null; gives: { id: string; messages: number }[] }
  /** Keys that this master key wrapped, after message `after` in order of age. */
  wrappedBy: {
    takes: { masterKey: string; after: number; limit: number }
    gives: { keys: StoredKey[]; last: number }
  }
  nextDue: { takes: null; gives: number | null }
  counts: { takes: null; gives: { waiting: number; active: number; held: number } }
  /** The place of the message with this id, or of the one with the next lower id; 0 when there is none. */
  position: { takes: { messageId: string }; gives: number }
  /** `next` is `null` when there is nothing more. */
  list: { takes: Walk; gives: { messages: StoredMessage[]; rows: ListedRow[]; next: Cursor | null } }
  trace: { takes: { messageId: string; limit: number }; gives: EventRow[] }
  between: { takes: { from: number; to: number; limit: number }; gives: EventRow[] }
  findCredential: {
    takes: { login: string }
    gives: { credential: CredentialRow; customer: CustomerRow } | null
  }
  findCustomer: { takes: { name: string }; gives: CustomerRow | null }
  listCustomers: { takes: null; gives: { customer: CustomerRow; logins: string[] }[] }
  putCustomer: { takes: CustomerRow; gives: null }
  putCredential: { takes: CredentialRow; gives: null }
  removeCredential: { takes: { login: string }; gives: boolean }
  removeCustomer: { takes: { name: string }; gives: boolean }
}

export type Operation = keyof Operations

/**
 * `write`: changes queue.db, shares a transaction with its neighbours. `read`: sees queue.db, outside of it.
 * `config`: reads or changes config.db, one statement each.
 */
export type Route = 'write' | 'read' | 'config'

/** Runs operations somewhere: in the writer thread, or in this process for the command line. */
export interface Executor {
  /**
   * Durable when it resolves. `octets` are copied before this returns. Rejects with a `Fault`:
   * `store-full`, `store-unavailable`, or `internal` when this one request was at fault.
   */
  request<K extends Operation>(
    operation: K,
    takes: Operations[K]['takes'],
    octets?: readonly Uint8Array[],
  ): Promise<Operations[K]['gives']>
}

/** One request within a packet. `from` and `size` say where its octets lie in the packet's buffer. */
export interface Request {
  readonly id: number
  readonly operation: Operation
  readonly takes: unknown
  readonly from: number
  readonly size: number
}

export interface Packet {
  readonly kind: 'requests'
  readonly requests: readonly Request[]
  readonly octets: ArrayBuffer
}

export type Answer =
  | { readonly id: number; readonly kind: 'result'; readonly gives: unknown }
  | { readonly id: number; readonly kind: 'fault'; readonly code: FaultCode; readonly message: string }

/** What the writer thread says. `full`: the disk is; `broken`: nothing more will be done, restart. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly code: FaultCode; readonly message: string }
  | { readonly kind: 'answers'; readonly answers: readonly Answer[] }
  | { readonly kind: 'full' }
  | { readonly kind: 'broken'; readonly message: string }

export interface WriterSettings {
  readonly dataDirectory: string
  /** Page cache of queue.db. */
  readonly cacheOctets: number
}
