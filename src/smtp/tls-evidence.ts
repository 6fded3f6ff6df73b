// What was negotiated and proven on one connection to a next hop: for log, journal, receipt.
import type { SecurityLevel } from './security-level.ts'

/** Facts of a finished handshake. */
export interface TlsEvidence {
  readonly kind: 'tls'
  readonly protocol: 'TLSv1.2' | 'TLSv1.3'
  /** IANA-style suite name as OpenSSL reports it, e.g. `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string
  /** Key exchange group, e.g. `X25519MLKEM768`; `null` when the session was resumed without one. */
  readonly group: string | null
  /** SHA-256 of the leaf certificate (DER), lower-case hex. */
  readonly certificateSha256: string
  /** How the peer was authenticated, `none` when it was not. */
  readonly authenticatedBy: 'none' | 'pkix' | 'dane' | 'mta-sts' | 'partner'
  /** The level that this connection reached. */
  readonly level: SecurityLevel
  readonly resumed: boolean
}

/** A hand-over in the clear, with the permit that allowed it. */
export interface CleartextEvidence {
  readonly kind: 'cleartext'
  readonly permitSource: string
}

export type TransportEvidence = TlsEvidence | CleartextEvidence
