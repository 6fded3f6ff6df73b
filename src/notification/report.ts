// Puts a notice together as a multipart/report: what people read, what machines read, and the header of the
// message it is about; never its body (N4). RFC 3464, RFC 6522, RFC 6533, RFC 3834 §3.1.8.
import {
  type ComposedField,
  type ComposedMessage,
  type ComposedPart,
  composeMessage,
} from '../message/compose.ts'
import { formatDate } from '../message/trace-fields.ts'
import { type Mailbox, needsSmtpUtf8, wireAddress } from '../smtp/mailbox.ts'
import { deliveryStatusPart, type StatusFacts } from './delivery-status.ts'
import type { NoticeText } from './notice-text.ts'
import type { Original } from './original.ts'

export interface ReportFacts extends StatusFacts {
  /** Id of the notice itself: its Message-ID and its boundaries. */
  readonly id: string
  readonly sender: { readonly name: string; readonly address: string }
  /** Where the notice goes: the reverse-path of the original, and the same in the To field. */
  readonly reversePath: Mailbox
  readonly notice: NoticeText
  readonly original: Original
  /** Header to return as the third part; `null` for none (REQUIRETLS, RFC 8689 §5). */
  readonly returnedHeader: Buffer | null
}

/** Composes the notice in wire form. Deterministic: same facts, same octets. */
export function composeReport(facts: ReportFacts): Promise<ComposedMessage> {
  const eightBitPath = needsSmtpUtf8(facts.reversePath)
  const people: ComposedPart = {
    kind: 'multipart',
    contentType: 'multipart/alternative',
    parts: [
      { kind: 'text', contentType: 'text/plain', text: facts.notice.text },
      { kind: 'text', contentType: 'text/html', text: facts.notice.html },
    ],
  }
  const status = deliveryStatusPart(facts, eightBitPath)
  const header = facts.returnedHeader === null ? [] : [headerPart(facts.returnedHeader, eightBitPath)]
  const report: ComposedPart = {
    kind: 'multipart',
    contentType: 'multipart/report; report-type=delivery-status',
    parts: [people, status, ...header],
  }
  return composeMessage(reportFields(facts), report, facts.id)
}

function reportFields(facts: ReportFacts): ComposedField[] {
  const { original, sender, reversePath } = facts
  const exact = (name: string, value: string): ComposedField => ({ name, form: 'exact', value })
  return [
    { name: 'From', form: 'phrase', phrase: sender.name, address: sender.address },
    exact('To', `<${wireAddress(reversePath)}>`),
    { name: 'Subject', form: 'text', value: facts.notice.subject },
    exact('Date', formatDate(facts.now)),
    exact('Message-ID', `<${facts.id}@${facts.hostname}>`),
    ...(original.messageId === null
      ? []
      : [exact('In-Reply-To', original.messageId), exact('References', original.messageId)]),
    exact('Auto-Submitted', 'auto-replied'),
    ...(original.tlsRequiredNo && !facts.message.envelope.requireTls ? [exact('TLS-Required', 'No')] : []),
  ]
}

/** The third part. Long lines and 8-bit octets are encoded unless every hop takes them. RFC 6522 §4. */
function headerPart(header: Buffer, eightBitPath: boolean): ComposedPart {
  const text = header.toString('utf8')
  const isAscii = /^[\r\n\t\x20-\x7e]*$/.test(text)
  const isUtf8 = !isAscii && Buffer.from(text).equals(header)
  const hasLongLine = /[^\r\n]{990}/.test(text)
  return {
    kind: 'octets',
    contentType: isUtf8 ? 'message/global-headers' : 'text/rfc822-headers',
    encoding:
      hasLongLine || (!isAscii && !(isUtf8 && eightBitPath)) ? 'quoted-printable' : isAscii ? '7bit' : '8bit',
    content: header,
  }
}
