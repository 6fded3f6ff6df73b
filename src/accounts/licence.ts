// What a customer may send as (product rows S4, A1 in their first form): any local-part of a licensed
// domain, or single licensed addresses. Pure; terms and renewals are issue 5. A domain licence covers that
// domain only, never a sub-domain: `example.org` says nothing about `mail.example.org`.
import { type Mailbox, mailboxKey } from '../smtp/mailbox.ts'
import type { Customer } from './account.ts'

/** May `customer` use `mailbox` as reverse-path, and with it as header From? */
export const isLicensed = (customer: Customer, mailbox: Mailbox): boolean =>
  customer.domains.includes(mailbox.domain) || customer.addresses.includes(mailboxKey(mailbox))
