// What the benchmark measures: a server that takes submissions with STARTTLS and AUTH PLAIN and hands every mail
// to the sink, which is reachable at `sink` and trusted by `authority`.
import type { Endpoint } from '../load/protocol.ts'

export interface ServerSettings {
  /** A directory for this server alone, on the disk that the comparison is about. The caller removes it. */
  readonly directory: string
  readonly sink: Endpoint
  /** PEM files: the server's own certificate, and the root of all certificates of this run. */
  readonly certificate: { readonly chain: string; readonly key: string }
  readonly authority: string
  readonly password: string
  /** Address of a clamd (`unix:…`), or `null`: not scanned. */
  readonly scanner: string | null
}

export interface BenchServer {
  readonly submission: Endpoint
  /** Process ids whose trees are the whole server. */
  readonly roots: readonly number[]
  stop(): Promise<void>
}

export type StartServer = (settings: ServerSettings) => Promise<BenchServer>
