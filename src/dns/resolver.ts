// DNS as the rooms see it: answers carry their DNSSEC evidence and are values, trouble included.
import type { Domain } from '../smtp/domain.ts'

export interface MxRecord {
  readonly preference: number
  /** Exchange host as sent; `.` (root) for a null MX. Not yet checked as a host name. */
  readonly exchange: string
}

/** `secure`: the resolver set AD, so the answer was validated (and the path to it is trusted by configuration). */
export type Answer<T> =
  | {
      readonly kind: 'records'
      readonly records: readonly T[]
      readonly secure: boolean
      readonly ttlSeconds: number
      readonly canonicalName: string
    }
  /** The name exists without records of this type. */
  | { readonly kind: 'no-data'; readonly secure: boolean; readonly ttlSeconds: number }
  /** The name does not exist (NXDOMAIN). */
  | { readonly kind: 'no-name'; readonly secure: boolean; readonly ttlSeconds: number }
  /** Nothing can be said: SERVFAIL, REFUSED, time-out, malformed, bogus. Never "no records". */
  | { readonly kind: 'trouble'; readonly reason: string }

export interface TlsaRecord {
  readonly usage: number
  readonly selector: number
  readonly matching: number
  readonly data: Uint8Array
}

export interface Resolver {
  mx(name: Domain): Promise<Answer<MxRecord>>
  /** IPv4 and IPv6 addresses as text. */
  a(name: Domain): Promise<Answer<string>>
  aaaa(name: Domain): Promise<Answer<string>>
  txt(name: string): Promise<Answer<string>>
  tlsa(name: string): Promise<Answer<TlsaRecord>>
  stop(): void
}

/** Where mail for a domain goes. RFC 5321 §5.1, RFC 7505. Hosts in order of trial, equals shuffled. */
export type MxResult =
  | {
      readonly kind: 'hosts'
      readonly hosts: readonly { readonly name: Domain; readonly preference: number }[]
      /** No MX record: the domain itself is the host (RFC 5321 §5.1). */
      readonly implicit: boolean
      /** The MX answer (or its absence) was validated by DNSSEC. */
      readonly secure: boolean
    }
  | { readonly kind: 'null-mx' }
  | { readonly kind: 'no-domain' }
  /** Neither MX nor address, or only unusable MX names. */
  | { readonly kind: 'no-host'; readonly reason: string }
  | { readonly kind: 'trouble'; readonly reason: string }
