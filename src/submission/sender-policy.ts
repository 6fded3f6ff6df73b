// Who may send as whom, decided at MAIL FROM (product rows S4, S6). Header checks (S5) come after DATA.

import type { Customer } from '../accounts/account.ts'
import { isLicensed } from '../accounts/licence.ts'
import { type Domain, isWithin, parseDomain } from '../smtp/domain.ts'
import type { Mailbox, ReversePath } from '../smtp/mailbox.ts'
import { type CataloguedReply, cataloguedReply } from '../smtp/replies.ts'

/** Can a domain receive replies and notices? Answers from cache come at once, others as a promise. */
export type SenderDomainCheck = (domain: Domain) => Promise<'receives' | 'null-mx' | 'nothing' | 'unknown'>

export interface SenderPolicySettings {
  readonly noReplyPatterns: readonly string[]
  readonly internalDomains: readonly string[]
}

/** The refusal, or `null` when the customer may send with this reverse-path. */
export type SenderPolicy = (reversePath: ReversePath, customer: Customer) => Promise<CataloguedReply | null>

const pattern = (text: string): RegExp =>
  new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`, 'i')

/**
 * Order of the checks: null sender, no-reply, internal domain, licence, reachable domain. The licence comes
 * before the look-up, so that strangers' names cost no DNS query.
 */
export function createSenderPolicy(
  canReceive: SenderDomainCheck,
  settings: SenderPolicySettings,
): SenderPolicy {
  const noReply = settings.noReplyPatterns.map(pattern)
  const internal = settings.internalDomains.flatMap((text) => parseDomain(text) ?? [])

  const refuseByName = (sender: Mailbox): CataloguedReply | null => {
    const address = sender.text
    if (noReply.some((expression) => expression.test(sender.localPart))) {
      return cataloguedReply('sender-no-reply', { address })
    }
    if (!sender.domain.includes('.') || internal.some((domain) => isWithin(sender.domain, domain))) {
      return cataloguedReply('sender-internal', { address })
    }
    return null
  }

  const refuseByDomain = async (sender: Mailbox): Promise<CataloguedReply | null> => {
    const address = sender.text
    const ability = await canReceive(sender.domain)
    switch (ability) {
      case 'receives':
        return null
      case 'null-mx':
        return cataloguedReply('sender-domain-null-mx', { address })
      case 'nothing':
        return cataloguedReply('sender-domain-unreachable', { address })
      case 'unknown':
        return cataloguedReply('sender-domain-unknown-now', { address })
    }
  }

  return async (reversePath, customer) => {
    if (reversePath === null) return customer.nullReversePathAllowed ? null : cataloguedReply('sender-null')
    const byName = refuseByName(reversePath)
    if (byName !== null) return byName
    if (!isLicensed(customer, reversePath)) {
      return cataloguedReply('sender-not-licensed', { address: reversePath.text })
    }
    return refuseByDomain(reversePath)
  }
}
