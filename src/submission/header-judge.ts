// What the header decides: well-formed, no loop, author (S5), cleartext permit (M4, M5); and what is kept of
// it (M2, M3) under our own trace field. Pure but for the clock.
import type { Customer } from '../accounts/account.ts'
import { isLicensed } from '../accounts/licence.ts'
import { checkAuthor } from '../message/author-check.ts'
import { readCleartextRequest } from '../message/cleartext-request.ts'
import { type HeaderBlock, parseHeaderBlock, serialiseHeader } from '../message/header-block.ts'
import { type HeaderField, hasUtf8 } from '../message/header-field.ts'
import { isLooping } from '../message/loop.ts'
import { receivedField } from '../message/trace-fields.ts'
import { stuffDots, unstuffDots } from '../message/wire.ts'
import type { Clock } from '../runtime/clock.ts'
import type { PermitSource } from '../smtp/cleartext-permit.ts'
import { type CataloguedReply, cataloguedReply } from '../smtp/replies.ts'
import type { Transaction } from './acceptance.ts'

/** A header that may pass: what is kept of it in wire form, our trace field on top. */
export interface JudgedHeader {
  readonly kind: 'judged'
  readonly header: Buffer
  readonly headerUtf8: boolean
  readonly permit: PermitSource | null
}

export type HeaderJudge = (
  wireHeader: Buffer,
  transaction: Transaction,
  messageId: string,
) => JudgedHeader | { readonly kind: 'refused'; readonly reply: CataloguedReply }

export interface HeaderJudgeDeps {
  readonly anonymise: (header: HeaderBlock) => HeaderField[]
  readonly clock: Clock
  readonly hostname: string
}

export interface HeaderJudgeSettings {
  readonly headerSizeMax: number
  readonly headerFieldsMax: number
  readonly hopsMax: number
  readonly cleartextTagPosition: 'anywhere' | 'front'
}

export function createHeaderJudge(deps: HeaderJudgeDeps, settings: HeaderJudgeSettings): HeaderJudge {
  const limits = { fieldsMax: settings.headerFieldsMax, octetsMax: settings.headerSizeMax }
  return (wireHeader, { envelope, identity }, messageId) => {
    const parsed = parseHeaderBlock(unstuffDots(wireHeader), limits)
    if (parsed.kind === 'too-large')
      return refuse(cataloguedReply('header-too-large', { max: limits.octetsMax }))
    if (parsed.kind === 'malformed')
      return refuse(cataloguedReply('header-malformed', { reason: parsed.reason }))
    const { header } = parsed
    if (isLooping(header, deps.hostname, settings.hopsMax)) return refuse(cataloguedReply('loop-detected'))
    const author = checkAuthor(header, envelope.reversePath, (mailbox) =>
      isLicensed(identity.customer, mailbox),
    )
    if (author.kind === 'refused') return author
    const permit = judgePermit(header, identity.customer, settings.cleartextTagPosition)
    if (permit.kind === 'refused') return permit
    // Raw 8-bit fields from programs that never heard of SMTPUTF8 travel as 8-bit, as with any relay: to demand
    // SMTPUTF8 of the next hop would bounce what arrives everywhere else.
    const headerUtf8 = envelope.smtpUtf8 && hasUtf8(header)
    const trace = receivedField({
      hostname: deps.hostname,
      id: messageId,
      protocol: envelope.smtpUtf8 ? 'UTF8SMTPSA' : 'ESMTPSA',
      at: deps.clock.now(),
    })
    const kept = stuffDots(serialiseHeader(deps.anonymise(header)))
    return {
      kind: 'judged',
      header: Buffer.concat([Buffer.from(trace, 'latin1'), kept]),
      headerUtf8,
      permit: permit.source,
    }
  }
}

const refuse = (reply: CataloguedReply) => ({ kind: 'refused', reply }) as const

function judgePermit(
  header: HeaderBlock,
  customer: Customer,
  position: 'anywhere' | 'front',
): { kind: 'permit'; source: PermitSource | null } | { kind: 'refused'; reply: CataloguedReply } {
  const request = readCleartextRequest(header, { position })
  switch (request.kind) {
    case 'none':
      return { kind: 'permit', source: null }
    case 'requested':
      if (!customer.cleartextAllowed) return refuse(cataloguedReply('permit-not-allowed'))
      return { kind: 'permit', source: request.source }
    case 'unclear':
      return refuse(
        cataloguedReply(request.what === 'several-subjects' ? 'subject-several' : 'permit-unclear'),
      )
  }
}
