// What a path to a next hop must fulfil (product row T4), as an ordered vocabulary.

/**
 * - `may`: TLS is tried, cleartext allowed only together with a cleartext permit.
 * - `encrypt`: TLS ≥ 1.2 with forward secrecy (default; DSK "obligatorische Transportverschlüsselung").
 * - `verify`: and a certificate that chains to a trusted root and names the MX host.
 * - `secure`: and the MX host itself authenticated, by DANE, MTA-STS enforce or a partner agreement.
 * - `qualified`: `secure` with the suites of BSI TR-02102-2 only.
 */
export type SecurityLevel = (typeof SECURITY_LEVELS)[number]

export const SECURITY_LEVELS = ['may', 'encrypt', 'verify', 'secure', 'qualified'] as const

/** Negative, zero or positive as `a` is weaker than, the same as, or stronger than `b`. */
export const compareLevels = (a: SecurityLevel, b: SecurityLevel): number =>
  SECURITY_LEVELS.indexOf(a) - SECURITY_LEVELS.indexOf(b)

/** The stronger of the two: an instance can raise a level, never lower it. */
export const strongerLevel = (a: SecurityLevel, b: SecurityLevel): SecurityLevel =>
  compareLevels(a, b) >= 0 ? a : b
