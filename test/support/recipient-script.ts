// What a scripted recipient can be told and what it tells: the words of `recipient-server.ts`.
import type { SecureVersion } from 'node:tls'

export interface ReceivedMail {
  /** Text between the angle brackets. */
  readonly reversePath: string
  readonly forwardPaths: readonly string[]
  /** Complete command lines, with parameters. */
  readonly mailCommand: string
  readonly rcptCommands: readonly string[]
  /** The message, un-stuffed. Empty with `keep: false`. */
  readonly content: Buffer
  readonly ehlo: string
  /** `null` in the clear. `resumed` tells session resumption. */
  readonly tls: {
    readonly protocol: string
    readonly cipher: string
    readonly resumed: boolean
    readonly servername: string
  } | null
  /** Number of the connection, from 1, and of the mail on it, from 1. */
  readonly connection: number
  readonly mailOnConnection: number
}

export interface Step {
  /** `greeting`, `handshake`, `content`, `dot`, or the verb of a command in upper case. */
  readonly at: string
  /** The whole command line, without CRLF; empty for other steps. */
  readonly line: string
  readonly connection: number
  readonly isTls: boolean
  /** Mails taken on this connection so far. */
  readonly mails: number
}

export type Action =
  | string
  | 'hang'
  | 'close'
  | 'reset'
  | { readonly raw: string | Uint8Array; readonly next: 'hang' | 'close' | 'reset' | 'go on' }
  | { readonly drip: string; readonly everyMs: number }

export interface RecipientOptions {
  /** Certificate and key in PEM; `null` for a server without STARTTLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  readonly tlsVersions?: { readonly min: SecureVersion; readonly max: SecureVersion }
  readonly ciphers?: string
  readonly hostname?: string
  /** Lines of the reply to EHLO besides STARTTLS. */
  readonly extensions?: readonly string[]
  readonly script?: (step: Step) => Action | undefined
  /** `false`: contents are counted, not kept. */
  readonly keep?: boolean
  readonly address?: string
  readonly port?: number
}

export interface Recipient {
  readonly address: string
  readonly port: number
  /** Everything taken so far, in order. */
  readonly received: readonly ReceivedMail[]
  /** Resolves with all mails when at least `count` have been taken. */
  mails(count: number): Promise<readonly ReceivedMail[]>
  /** Connections so far; messages so far (also with `keep: false`); octets of their contents. */
  readonly connections: number
  readonly messages: number
  readonly octets: number
  /** All command lines of all connections in order, e.g. to see that nothing was said in the clear. */
  readonly commands: readonly string[]
  /** Connections that are open now. */
  readonly open: number
  /** Resolves when no connection is open. */
  allClosed(): Promise<void>
  stop(): Promise<void>
}
