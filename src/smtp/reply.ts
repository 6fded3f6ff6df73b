// SMTP replies as data, both ours and a next hop's. RFC 5321 §4.2, RFC 2034.
import { type EnhancedStatus, parseEnhancedStatus } from './enhanced-status.ts'

/** One complete reply. `lines` hold the text without code, enhanced code and line ends; never empty. */
export interface Reply {
  readonly code: number
  readonly enhanced: EnhancedStatus | null
  readonly lines: readonly string[]
}

/** What a reply's first digit says. RFC 5321 §4.2.1. */
export type ReplyClass = 'success' | 'intermediate' | 'transient' | 'permanent' | 'invalid'

export function replyClass(reply: Reply): ReplyClass {
  if (reply.code >= 200 && reply.code < 300) return 'success'
  if (reply.code >= 300 && reply.code < 400) return 'intermediate'
  if (reply.code >= 400 && reply.code < 500) return 'transient'
  if (reply.code >= 500 && reply.code < 600) return 'permanent'
  return 'invalid'
}

/** A reply of one line. */
export const reply = (code: number, enhanced: EnhancedStatus | null, text: string): Reply => ({
  code,
  enhanced,
  lines: [text],
})

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/**
 * Foreign text made safe for logs, notices and terminals: control characters, C1, bidi overrides and line
 * separators become spaces, and it ends after `charactersMax`.
 */
export const sanitiseText = (text: string, charactersMax = 1000): string =>
  text.replace(UNSAFE, ' ').slice(0, charactersMax)

/** The reply as one line for people and logs: `550 5.1.1 no such user; see …`. Sanitised. */
export function formatReply(value: Reply): string {
  const text = value.lines.join(' ').trim()
  return sanitiseText([String(value.code), value.enhanced, text].filter(Boolean).join(' '), 2000)
}

const LINE_OCTETS_MAX = 512

/**
 * ASCII only: a client that did not say SMTPUTF8 must not be sent more (RFC 6531 §3.7.4). Other characters
 * are written as in RFC 6533 §3: `m\x{FC}ller@office.example`.
 */
const asciiText = (text: string): string =>
  text.replace(/[^\t\x20-\x7e]/gu, (letter) => `\\x{${letter.codePointAt(0)?.toString(16).toUpperCase()}}`)

/**
 * Wire form with CRLF at the end of each line, of at most 512 octets (RFC 5321 §4.5.3.1.5); the enhanced code
 * stands on every line (RFC 2034 §4).
 */
export function encodeReply(value: Reply): string {
  const enhanced = value.enhanced === null ? '' : `${value.enhanced} `
  return value.lines
    .map((line, index) => {
      const separator = index < value.lines.length - 1 ? '-' : ' '
      const text = `${value.code}${separator}${enhanced}${asciiText(sanitiseText(line))}`
      return `${text.slice(0, LINE_OCTETS_MAX - 2)}\r\n`
    })
    .join('')
}

/** Puts a reply together from the lines of a next hop (`250-…`, `250 …`, without line ends). */
export function decodeReply(code: number, texts: readonly string[]): Reply {
  const enhanced = parseEnhancedStatus(texts[0] ?? '')
  const lines = texts.map((text) =>
    enhanced !== null && parseEnhancedStatus(text) === enhanced
      ? text.slice(enhanced.length).trimStart()
      : text,
  )
  return { code, enhanced, lines: lines.length === 0 ? [''] : lines }
}
