// Judges a finished handshake against the requirement: what was reached, and is it enough? Pure. The bare
// minimum (TLS 1.2, forward secrecy, AEAD) is already forced by the TLS profile and checked once more here.
// DANE, MTA-STS and partner fingerprints will be further facts.
import { compareLevels, type SecurityLevel } from '../../smtp/security-level.ts'
import type { TlsEvidence } from '../../smtp/tls-evidence.ts'
import type { Requirement } from './requirement.ts'

/** What the handshake showed. */
export interface HandshakeFacts {
  /** As OpenSSL reports it, e.g. `TLSv1.3`. */
  readonly protocol: string
  readonly cipher: string
  readonly group: string | null
  readonly certificateSha256: string
  /** The chain ends at a trusted root and nothing in it is expired. */
  readonly chainTrusted: boolean
  /** The certificate names the MX host (DNS-ID only, RFC 9525). */
  readonly nameMatches: boolean
  readonly resumed: boolean
}

export type Judgement =
  | { readonly kind: 'fulfilled'; readonly evidence: TlsEvidence }
  | { readonly kind: 'insufficient'; readonly reason: string; readonly evidence: TlsEvidence | null }

/** Suites of BSI TR-02102-2 with forward secrecy: no ChaCha20. */
const BSI_SUITES: ReadonlySet<string> = new Set([
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
])
const FORWARD_SECRET_AEAD =
  /^TLS_(?:AES_(?:128|256)_GCM|CHACHA20_POLY1305|ECDHE_(?:ECDSA|RSA)_WITH_(?:AES_(?:128|256)_GCM|CHACHA20_POLY1305))_SHA(?:256|384)$/

export function judgeHandshake(requirement: Requirement, facts: HandshakeFacts): Judgement {
  const { protocol, cipher } = facts
  if ((protocol !== 'TLSv1.2' && protocol !== 'TLSv1.3') || !FORWARD_SECRET_AEAD.test(cipher)) {
    return { kind: 'insufficient', reason: `${protocol} with ${cipher} is too weak`, evidence: null }
  }
  const pkix = facts.chainTrusted && facts.nameMatches
  const level = levelReached(pkix, requirement.fixedHosts, cipher)
  const evidence: TlsEvidence = {
    kind: 'tls',
    protocol,
    cipher,
    group: facts.group,
    certificateSha256: facts.certificateSha256,
    authenticatedBy: !pkix ? 'none' : requirement.fixedHosts ? 'partner' : 'pkix',
    level,
    resumed: facts.resumed,
  }
  if (compareLevels(level, requirement.level) >= 0) return { kind: 'fulfilled', evidence }
  return { kind: 'insufficient', reason: shortfall(requirement.level, facts), evidence }
}

function levelReached(pkix: boolean, fixedHosts: boolean, cipher: string): SecurityLevel {
  if (!pkix) return 'encrypt'
  if (!fixedHosts) return 'verify'
  return BSI_SUITES.has(cipher) ? 'qualified' : 'secure'
}

function shortfall(wanted: SecurityLevel, facts: HandshakeFacts): string {
  if (!facts.chainTrusted) return 'the certificate does not chain to a trusted root'
  if (!facts.nameMatches) return 'the certificate does not name the host'
  return `level ${wanted} needs more than a certificate that names the host`
}
