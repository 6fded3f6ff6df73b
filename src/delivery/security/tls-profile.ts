// What we offer in a TLS handshake with a next hop: versions, suites, groups, trust anchors. One shared
// SecureContext per profile (a fresh one per connection is costly) and the sessions to resume.
// RFC 9325, RFC 8996; BSI TR-02102-2 for what `qualified` takes. Node's defaults would accept RSA key
// exchange, CBC and renegotiation.
import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { BoundedMap } from '../../runtime/bounded-map.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault, faultText } from '../../runtime/fault.ts'
import { CLASSICAL_GROUPS, HYBRID_GROUPS, TLS_SUITES } from '../../smtp/tls-suites.ts'

/** `modern`: hybrid post-quantum first. `small-hello`: without it, for peers that break on a large ClientHello. */
export type TlsProfile = 'modern' | 'small-hello'

const GROUPS: Readonly<Record<TlsProfile, string>> = {
  modern: HYBRID_GROUPS,
  'small-hello': CLASSICAL_GROUPS,
}

const SESSIONS_MAX = 5000
const SESSION_LIFE_MS = 2 * 3_600_000

/** Who the peer was when the session was made: a resumed handshake shows no certificate. */
export interface PeerIdentity {
  /** SHA-256 of the leaf certificate, lower-case hex. */
  readonly certificateSha256: string
  readonly chainTrusted: boolean
  readonly nameMatches: boolean
}

export interface ResumableSession {
  readonly ticket: Buffer
  readonly identity: PeerIdentity
}

export interface TlsProfiles {
  context(profile: TlsProfile): SecureContext
  /** A session to resume with `host`, or `undefined`. */
  session(host: string, profile: TlsProfile): ResumableSession | undefined
  remember(host: string, profile: TlsProfile, session: ResumableSession): void
  /** A session that led to a failed handshake is not offered again. */
  forget(host: string, profile: TlsProfile): void
}

/**
 * @param trustedCertificates files with PEM certificates, trusted in addition to the bundled roots
 * @throws Fault `configuration` when a file cannot be read or holds no certificate
 */
export function createTlsProfiles(clock: Clock, trustedCertificates: readonly string[]): TlsProfiles {
  const ca = [...getCACertificates('default'), ...trustedCertificates.map(readCertificates)]
  const contexts = new Map<TlsProfile, SecureContext>()
  const sessions = new BoundedMap<string, ResumableSession>(clock, SESSIONS_MAX)
  const key = (host: string, profile: TlsProfile): string => `${profile} ${host}`
  return {
    context(profile) {
      const known = contexts.get(profile)
      if (known !== undefined) return known
      const made = createSecureContext({
        minVersion: 'TLSv1.2',
        ciphers: TLS_SUITES,
        ecdhCurve: GROUPS[profile],
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
        ca,
      })
      contexts.set(profile, made)
      return made
    },
    session: (host, profile) => sessions.get(key(host, profile)),
    remember: (host, profile, session) => sessions.set(key(host, profile), session, SESSION_LIFE_MS),
    forget: (host, profile) => sessions.delete(key(host, profile)),
  }
}

function readCertificates(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Fault('configuration', `delivery.trustedCertificates: ${faultText(cause)}`, { cause })
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  throw new Fault('configuration', `delivery.trustedCertificates: ${file} holds no PEM certificate`)
}
