// What the path to a next hop must fulfil, decided before any socket exists, from the recipient's domain, the
// partner entry for it, and the message (product rows T2, T4, T5, M4, M5). Pure. DANE and MTA-STS will enter
// here as further facts; nothing but this file makes requirements.
//
// Order: the operator's default; a partner entry replaces it, also with a weaker level, because it is
// explicit; a message can only raise it; REQUIRETLS demands an authenticated host (RFC 8689 §4.2.1) and
// outranks every permit. A permit lowers it to `may` unless the message itself asks for more than `encrypt`:
// of two contradicting wishes the safer one counts.

import type { MessageMeta } from '../../queue/message.ts'
import { CleartextPermit } from '../../smtp/cleartext-permit.ts'
import { compareLevels, type SecurityLevel, strongerLevel } from '../../smtp/security-level.ts'
import type { Partner } from '../settings.ts'

export interface Requirement {
  readonly level: SecurityLevel
  /** The right to hand over in the clear when TLS cannot be had, `null` for none. */
  readonly permit: CleartextPermit | null
  /** Hosts come from the operator, not from DNS: the name that the certificate must bear is proven. */
  readonly fixedHosts: boolean
  /** The next hop must offer and be given REQUIRETLS. RFC 8689. */
  readonly requireTls: boolean
}

/** @param route the next hop that an operator chose for the delivery; it changes nothing of what is required */
export function requirementFor(
  message: Pick<MessageMeta, 'envelope' | 'level' | 'permit'>,
  partner: Partner | null,
  defaultLevel: SecurityLevel,
  route: string | null = null,
): Requirement {
  const requireTls = message.envelope.requireTls
  const asked = requireTls ? strongerLevel(message.level, 'secure') : message.level
  const raised = compareLevels(asked, 'encrypt') > 0
  const permit = raised ? null : CleartextPermit.grant(message.permit, requireTls)
  return {
    level: permit === null ? strongerLevel(partner?.level ?? defaultLevel, asked) : 'may',
    permit,
    fixedHosts: route !== null || (partner !== null && partner.hosts.length > 0),
    requireTls,
  }
}

/** Open connections may be shared by messages to one domain whose requirements have the same key. */
export const requirementKey = (requirement: Requirement): string => requirement.level
