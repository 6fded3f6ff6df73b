// The virus scanner as a port (M1). Three-valued on purpose: what is not exactly `clean` never passes.

export type Verdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'infected'; readonly signature: string }
  /** No verdict: dead, slow, garbage, past a limit. The sender gets 451. */
  | { readonly kind: 'unavailable'; readonly reason: string }

/** One scan, fed while the message is received. Exactly one of `finish` and `abort` ends it. */
export interface Scan {
  /** Takes over `chunk`. Returns a promise when the caller should wait (back-pressure), `null` when not. */
  write(chunk: Uint8Array): Promise<void> | null
  /** All octets are in: the verdict, within the scanner's own deadline. Never rejects. */
  finish(): Promise<Verdict>
  /** The message is not wanted any more; frees the connection. Never throws. */
  abort(): void
}

export interface Scanner {
  /** Begins a scan; trouble shows in its verdict. */
  begin(): Scan
  /** Feeds the EICAR test string and checks that it is found; the reason when it is not. */
  selfTest(): Promise<{ ok: true } | { ok: false; reason: string }>
  stop(): Promise<void>
}
