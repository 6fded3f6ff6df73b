// What commands need from the rest: the gateway to serve, the stores to operate on, a terminal. Given by
// `relay.ts` and `main.ts` in production, by memory in tests.
import type { AccountStore } from '../accounts/store.ts'
import type { Configuration } from '../config/schema.ts'
import type { JournalStore } from '../journal/store.ts'
import type { Log } from '../observability/log.ts'
import type { MasterKeyControl, QueueControl } from '../queue/store.ts'
import type { Fault } from '../runtime/fault.ts'

/** The stores of a data directory, opened beside a running gateway. Whoever opened them closes them. */
export interface Operations {
  readonly accounts: AccountStore
  readonly queue: QueueControl & MasterKeyControl
  readonly journal: JournalStore
  close(): void | Promise<void>
}

/** A gateway as `serve` drives it. */
export interface ServedRelay {
  start(): Promise<unknown>
  /** Takes no new mail and finishes what runs, at most `limitMs`. */
  drain(limitMs: number): Promise<void>
  stop(): Promise<void>
}

export interface Ports {
  openOperations(configuration: Configuration): Promise<Operations>
  /** `onFatal` is called once when the store can do nothing more in this process. */
  createRelay(
    configuration: Configuration,
    log: Log,
    options: { readonly onFatal: (fault: Fault) => void },
  ): Promise<ServedRelay>
}

/** Where a command reads and writes. */
export interface Terminal {
  /** Standard output; `text` without the line end. */
  out(text: string): void
  /** Standard error: warnings, refusals, progress. */
  err(text: string): void
  /** How far long work is: one line that the next text, of any kind, replaces. Only for people at a terminal. */
  progress(text: string): void
  /** All of standard input, at most 64 KB. */
  readInput(): Promise<string>
}

/** The process as `serve` needs it: signals, crashes, the way out. */
export interface Host {
  on(event: HostEvent, listener: (thrown: unknown) => void): unknown
  off(event: HostEvent, listener: (thrown: unknown) => void): unknown
  exit(code: number): void
}

export type HostEvent = 'SIGTERM' | 'SIGINT' | 'uncaughtException' | 'unhandledRejection'
