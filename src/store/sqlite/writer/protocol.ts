// What the main thread may ask of the thread that owns the databases, and how requests travel: plain values,
// and all octets of a packet in one transferred buffer (one copy, no clone per field). The command line runs
// the same operations in its own process, see admin.ts.
import type { FaultCode } from '../../../runtime/fault.ts'

/** A delivery as it is first written. `recipient` is JSON. */
export interface DeliveryRow {
  readonly domain: string
  readonly forwardPath: string
  readonly recipient: string
}

/** A message as it is written. Its octets stand in the packet: header first, then the inline body. */
export interface MessageRow {
  readonly id: string
  readonly customer: string | null
  readonly reversePath: string
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly location: 'inline' | 'file'
  readonly bodyBytes: number
  /** JSON of the meta data without the header. */
  readonly meta: string
  readonly headerBytes: number
  readonly deliveries: readonly DeliveryRow[]
}

/** A journal entry; `facts` is JSON. */
export interface EventRow {
  readonly at: number
  readonly kind: string
  readonly messageId: string
  readonly customer: string | null
  readonly reversePath: string
  readonly forwardPath: string | null
  readonly facts: string
}

/** Identity of a delivery and the token of the claim on it. */
export interface ClaimKey {
  readonly messageId: string
  readonly position: number
  readonly token: number
}

export interface SettleRow extends ClaimKey {
  readonly events: readonly EventRow[]
  readonly notices: readonly MessageRow[]
  /** `null`: done, the delivery goes away. */
  readonly later: { readonly nextAt: number; readonly attempts: number; readonly state: string } | null
}

export interface ClaimedMessage {
  readonly id: string
  readonly location: 'inline' | 'file'
  readonly bodyBytes: number
  readonly meta: string
  readonly header: Uint8Array
}

export interface ClaimedDelivery extends ClaimKey {
  readonly recipient: string
  readonly state: string | null
}

export interface ListedRow {
  readonly seq: number
  readonly messageId: string
  readonly position: number
  readonly customer: string | null
  readonly reversePath: string
  readonly forwardPath: string
  readonly domain: string
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly attempts: number
  readonly nextAt: number
  readonly status: 'waiting' | 'active' | 'held'
  readonly state: string | null
}

/** Where a listing goes on: the last row that was looked at. */
export interface ListCursor {
  readonly seq: number
  readonly position: number
}

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
    takes: { now: number; limit: number; skipDomains: readonly string[] }
    gives: { messages: ClaimedMessage[]; deliveries: ClaimedDelivery[]; orphaned: number }
  }
  /** `emptied`: messages whose file may be unlinked now. */
  settle: {
    takes: { now: number; rows: readonly SettleRow[] }
    gives: { results: ('ok' | 'fenced')[]; emptied: string[] }
  }
  release: { takes: { now: number; claims: readonly ClaimKey[] }; gives: null }
  hold: { takes: { claim: ClaimKey; reason: string }; gives: null }
  retry: {
    takes: { now: number; limit: number; messageId: string | null; domain: string | null }
    gives: number
  }
  append: { takes: { events: readonly EventRow[] }; gives: null }
  expire: { takes: { before: number; limit: number }; gives: number }
  /** Gives `pages` free pages back to the file system when more than `keep` are free. */
  compact: { takes: { pages: number; keep: number }; gives: null }
  /** On a full disk: gives back what the database does not need, and its WAL. */
  makeRoom: { takes: { pages: number }; gives: null }
  recovered: { takes: null; gives: null }
  body: { takes: { messageId: string }; gives: Uint8Array | null }
  known: { takes: { ids: readonly string[] }; gives: string[] }
  nextDue: { takes: null; gives: number | null }
  counts: { takes: null; gives: { waiting: number; active: number; held: number } }
  position: { takes: { messageId: string }; gives: number }
  list: {
    takes: { after: ListCursor; step: number; limit: number; domain: string | null; customer: string | null }
    /** `next` is `null` when there is nothing more. */
    gives: { rows: ListedRow[]; next: ListCursor | null }
  }
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
