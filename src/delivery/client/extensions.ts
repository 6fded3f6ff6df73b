// What a next hop offered in its reply to EHLO. RFC 5321 §4.1.1.1. Pure.
import type { Reply } from '../../smtp/reply.ts'

export interface Extensions {
  readonly startTls: boolean
  readonly pipelining: boolean
  readonly eightBitMime: boolean
  readonly smtpUtf8: boolean
  readonly dsn: boolean
  readonly requireTls: boolean
  /** SIZE with or without a limit. RFC 1870. */
  readonly size: boolean
  /** Largest message in octets; `null` when the hop names none. */
  readonly sizeMax: number | null
}

export const NO_EXTENSIONS: Extensions = {
  startTls: false,
  pipelining: false,
  eightBitMime: false,
  smtpUtf8: false,
  dsn: false,
  requireTls: false,
  size: false,
  sizeMax: null,
}

/** Reads the reply to EHLO; unknown keywords are ignored, the first line is the host's name. */
export function parseExtensions(reply: Reply): Extensions {
  const keywords = new Map<string, string>()
  for (const line of reply.lines.slice(1)) {
    const [keyword = '', parameter = ''] = line
      .trim()
      .toUpperCase()
      .split(/[ \t]+/, 2)
    keywords.set(keyword, parameter)
  }
  const size = keywords.get('SIZE')
  const sizeMax = size !== undefined && /^[0-9]{1,15}$/.test(size) ? Number(size) : 0
  return {
    startTls: keywords.has('STARTTLS'),
    pipelining: keywords.has('PIPELINING'),
    eightBitMime: keywords.has('8BITMIME'),
    // RFC 6531 §3.1: SMTPUTF8 without 8BITMIME is no offer.
    smtpUtf8: keywords.has('SMTPUTF8') && keywords.has('8BITMIME'),
    dsn: keywords.has('DSN'),
    requireTls: keywords.has('REQUIRETLS'),
    size: size !== undefined,
    // RFC 1870 §3: zero means no fixed limit.
    sizeMax: sizeMax > 0 ? sizeMax : null,
  }
}
