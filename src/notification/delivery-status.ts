// The part of a notice that machines read: message/delivery-status with one block for the message and one for
// each recipient. RFC 3464 §2; with SMTPUTF8 and anything beyond ASCII message/global-delivery-status,
// RFC 6533 §4. Remote words stand here on one line each, sanitised, so that they can add no field.
import { type ComposedPart, foldField } from '../message/compose.ts'
import { formatDate } from '../message/trace-fields.ts'
import type { MessageMeta } from '../queue/message.ts'
import type { NoticeKind } from '../queue/notice.ts'
import { type Mailbox, needsSmtpUtf8, wireAddress } from '../smtp/mailbox.ts'
import { formatReply, sanitiseText } from '../smtp/reply.ts'
import { decodeXtext } from '../smtp/xtext.ts'
import type { Finding } from './finding.ts'

export interface StatusFacts {
  readonly kind: NoticeKind
  readonly message: MessageMeta
  readonly findings: readonly Finding[]
  readonly hostname: string
  /** Epoch ms of the last attempt, which the notice reports. */
  readonly now: number
}

/** What RFC 3464 §2.3.3 calls the result. We never deliver to a mailbox ourselves, so never `delivered`. */
const ACTIONS: Readonly<Record<NoticeKind, 'failed' | 'delayed' | 'relayed'>> = {
  failed: 'failed',
  delayed: 'delayed',
  relayed: 'relayed',
  'delay-over': 'relayed',
}

type Field = readonly [name: string, value: string]

/**
 * Builds the part. `eightBitPath`: the notice can only travel over SMTPUTF8 hops, so 8-bit is safe; elsewhere
 * the international form is encoded, which RFC 6533 §4 allows.
 */
export function deliveryStatusPart(facts: StatusFacts, eightBitPath: boolean): ComposedPart {
  const blocks = (isGlobal: boolean): string =>
    [messageFields(facts), ...facts.findings.map((finding) => recipientFields(facts, finding, isGlobal))]
      .map((fields) => fields.map(([name, value]) => `${foldField(name, value)}\r\n`).join(''))
      .join('\r\n')
  const global = blocks(true)
  if (!facts.message.envelope.smtpUtf8 || isAscii(global)) {
    const content = Buffer.from(toAscii(blocks(false)))
    return { kind: 'octets', contentType: 'message/delivery-status', encoding: '7bit', content }
  }
  return {
    kind: 'octets',
    contentType: 'message/global-delivery-status',
    encoding: eightBitPath ? '8bit' : 'quoted-printable',
    content: Buffer.from(global),
  }
}

function messageFields({ message, hostname }: StatusFacts): Field[] {
  const { envid } = message.envelope.dsn
  return [
    ...(envid === null ? [] : ([['Original-Envelope-Id', plain(decodeXtext(envid))]] as const)),
    ['Reporting-MTA', `dns; ${hostname}`],
    ['Arrival-Date', formatDate(message.acceptedAt)],
  ]
}

function recipientFields(facts: StatusFacts, finding: Finding, isGlobal: boolean): Field[] {
  const { recipient, status, place } = finding
  const server = remoteMta(place.mxHost, place.address)
  const diagnostic = diagnosticCode(finding)
  const fields: (Field | null)[] = [
    recipient.dsn.orcpt === null
      ? null
      : ['Original-Recipient', originalRecipient(recipient.dsn.orcpt, isGlobal)],
    ['Final-Recipient', finalRecipient(recipient.forwardPath, isGlobal)],
    ['Action', ACTIONS[facts.kind]],
    ['Status', status],
    server === null ? null : ['Remote-MTA', `dns; ${server}`],
    diagnostic === null ? null : ['Diagnostic-Code', diagnostic],
    ['Last-Attempt-Date', formatDate(facts.now)],
    ['Final-Log-ID', facts.message.id],
    facts.kind === 'delayed' ? ['Will-Retry-Until', formatDate(facts.message.expiresAt)] : null,
  ]
  return fields.filter((field) => field !== null)
}

/** ORCPT as the client gave it: `rfc822; max@example.org`. RFC 3461 §4.2, RFC 6533 §3. */
function originalRecipient(orcpt: string, isGlobal: boolean): string {
  const semicolon = orcpt.indexOf(';')
  const type = orcpt.slice(0, semicolon)
  const address = decodeXtext(orcpt.slice(semicolon + 1))
  const isUtf8 = type.toLowerCase() === 'utf-8'
  return plain(`${type}; ${isGlobal && isUtf8 ? decodeUtf8Xtext(address) : address}`)
}

function finalRecipient(mailbox: Mailbox, isGlobal: boolean): string {
  const address = wireAddress(mailbox)
  if (!needsSmtpUtf8(mailbox)) return `rfc822; ${address}`
  return `utf-8; ${isGlobal ? address : encodeUtf8Xtext(address)}`
}

/** The ASCII form of an international address. RFC 6533 §3, utf-8-addr-xtext. */
const encodeUtf8Xtext = (address: string): string =>
  address.replace(/[^\x21-\x7e]|[\\+=]/gu, (character) => {
    const point = character.codePointAt(0) ?? 0
    return `\\x{${point.toString(16).toUpperCase()}}`
  })

const decodeUtf8Xtext = (address: string): string =>
  address.replace(/\\x\{([0-9A-F]{2,6})\}/g, (whole, hex: string) => {
    const point = Number.parseInt(hex, 16)
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })

/** Who answered: the MX host, else its address as a literal; nothing that is neither. */
function remoteMta(mxHost: string | null, address: string | null): string | null {
  if (mxHost !== null && /^[A-Za-z0-9._-]{1,255}$/.test(mxHost)) return mxHost
  return address !== null && /^[0-9A-Fa-f:.]{2,45}$/.test(address) ? `[${address}]` : null
}

function diagnosticCode({ reply, detail }: Finding): string | null {
  if (reply !== null) return `smtp; ${formatReply(reply)}`
  return detail === '' ? null : `X-secureTransport; ${plain(detail)}`
}

const plain = (text: string): string => sanitiseText(text).trim()
const isAscii = (text: string): boolean => /^[\r\n\x20-\x7e]*$/.test(text)
const toAscii = (text: string): string => text.replace(/[^\r\n\x20-\x7e]/gu, '?')
