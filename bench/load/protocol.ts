// What the driver and its two helper processes (clients and sink) tell one another over their channel.
// Times are epoch ms with fractions, comparable between processes of one machine.
import type { Amount } from '../workloads.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** Where clients connect, and as whom. */
export interface Login {
  readonly server: Endpoint
  readonly login: string
  readonly password: string
}

/** Driver → clients: send this. */
export interface LoadOrder extends Login {
  readonly kind: 'load'
  readonly reversePath: string
  readonly forwardPath: string
  readonly sizeBytes: number
  readonly clients: number
  readonly mailsPerConnection: number
  readonly amount: Amount
  /** Each client waits so long after each accepted mail. */
  readonly pauseMs: number
}

/** Driver → clients: open so many sessions, log in, and keep them open. */
export interface HoldOrder extends Login {
  readonly kind: 'hold'
  readonly sessions: number
}

/** Clients → driver: they are open, or failed. */
export interface HoldResult {
  readonly kind: 'held'
  readonly failures: number
  readonly complaints: readonly string[]
}

/** Clients → driver: done. `acceptedAt` is the time of each final 250, in order. */
export interface LoadResult {
  readonly kind: 'loaded'
  readonly startedAt: number
  readonly acceptedAt: readonly number[]
  readonly failures: number
  /** What went wrong, the first few. */
  readonly complaints: readonly string[]
}

/** Driver → sink: begin to count anew (`reset`), or say when so many have arrived since then. */
export type SinkOrder = { readonly kind: 'reset' } | { readonly kind: 'await'; readonly mails: number }

/** Sink → driver. */
export type SinkNews =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'reset-done' }
  | ({ readonly kind: 'arrived' } & SinkCount)

export interface SinkCount {
  readonly mails: number
  readonly octets: number
  readonly lastAt: number
  /** Connections that were opened and TLS handshakes that resumed an earlier session, since the reset. */
  readonly connections: number
  readonly resumed: number
  /** Arrival of each mail since the reset, in order. */
  readonly arrivedAt: readonly number[]
}

/** Now, in epoch ms with fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}
