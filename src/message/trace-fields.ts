// Our own trace field (product row M2). It names us, the protocol and the message's id; neither the client's
// address nor its EHLO name, which is why the From-domain of RFC 5321 §4.4 is missing. Protocol names are
// those of RFC 3848 and RFC 6531 §4.3, dates those of RFC 5322 §3.3.
import { fieldText, type HeaderField } from './header-field.ts'

export interface Trace {
  /** Our name as configured, A-labels. */
  readonly hostname: string
  /** The message's id, as in `250 2.0.0 OK id=…`. */
  readonly id: string
  readonly protocol: 'ESMTPSA' | 'ESMTPS' | 'UTF8SMTPSA'
  /** Epoch ms. */
  readonly at: number
}

/** The whole `Received` field in three lines, each ending in CRLF; ASCII. */
export const receivedField = ({ hostname, id, protocol, at }: Trace): string =>
  `Received: by ${hostname} (secureTransport)\r\n with ${protocol} id ${id};\r\n ${formatDate(at)}\r\n`

/** Epoch ms as RFC 5322 §3.3 writes it, in UTC: `Thu, 01 Jan 1970 00:00:00 +0000`. */
export const formatDate = (at: number): string => new Date(at).toUTCString().replace('GMT', '+0000')

const OURS =
  /^by ([a-z0-9.-]+) \(secureTransport\) with (?:ESMTPSA|ESMTPS|UTF8SMTPSA) id [a-z0-9-]+; [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000$/i

/**
 * True when a field is word for word one that `receivedField` makes for one of these hosts (lower case).
 * Such a field gives nothing away and must survive a second passage, or loops could not be counted.
 */
export function isOurTraceField(field: HeaderField, hostnames: readonly string[]): boolean {
  if (field.key !== 'received') return false
  const by = OURS.exec(fieldText(field) ?? '')?.[1]
  return by !== undefined && hostnames.includes(by.toLowerCase())
}
