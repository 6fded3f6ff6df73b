// From reply code, enhanced code and text to the cause that a notice explains (product row N1), as data.
// First match wins; what matches nothing is `unknown` (permanent) or `recipient-trouble` (temporary). Says
// nothing about temporary or final. Pure. RFC 3463, RFC 5248.
import type { Cause } from '../../queue/outcome.ts'
import type { EnhancedStatus } from '../../smtp/enhanced-status.ts'
import { type Reply, replyClass } from '../../smtp/reply.ts'

/** The step of the dialogue that a reply answers. `content` is the reply to the final dot. */
export type Stage = 'greeting' | 'ehlo' | 'mail' | 'rcpt' | 'data' | 'content'

interface Pattern {
  readonly cause: Cause
  /** Subject and detail of the enhanced code, e.g. `1.1`. */
  readonly status?: RegExp
  readonly code?: readonly number[]
  readonly text?: RegExp
  readonly stages?: readonly Stage[]
}

const PATTERNS: readonly Pattern[] = [
  { cause: 'virus', text: /\b(?:virus|malware|trojan|infected|phish\w*)\b/i },
  {
    cause: 'attachment-refused',
    text: /\b(?:attachments?|file ?(?:type|name|extension)s?|anh(?:a|ä)nge?n?)\b.*\b(?:not|nicht|block|reject|refus|forbid|prohibit|disallow|denied|verboten)|\b(?:block|banned|prohibit|forbidden|dangerous)\w*.*\b(?:attachments?|file ?(?:type|name|extension)s?)\b/i,
  },
  { cause: 'message-too-large', status: /^(?:2\.3|3\.4)$/ },
  {
    cause: 'message-too-large',
    text: /\b(?:message|mail|size|nachricht)\b.*\b(?:too (?:big|large)|exceeds?|zu (?:gro(?:ß|ss)))|\bmaximum (?:message )?size\b/i,
  },
  { cause: 'mailbox-full', status: /^2\.2$/ },
  {
    cause: 'mailbox-full',
    text: /\b(?:over ?quota|quota (?:exceeded|full)|mailbox (?:is )?full|insufficient storage|postfach .*voll)/i,
  },
  { cause: 'domain-takes-no-mail', status: /^1\.10$/ },
  { cause: 'domain-takes-no-mail', code: [556] },
  { cause: 'domain-unknown', status: /^1\.2$/, stages: ['rcpt', 'data', 'content'] },
  { cause: 'address-unknown', status: /^(?:1\.[136]|2\.1)$/, stages: ['rcpt', 'data', 'content'] },
  { cause: 'loop', status: /^4\.6$/ },
  { cause: 'loop', text: /\b(?:mail loop|too many hops|loop(?:ing|s back)?\b.*\bdetected)/i },
  { cause: 'conversion-needed', status: /^6\.[0-9]+$/ },
  { cause: 'requiretls-unsupported', status: /^7\.30$/ },
  {
    cause: 'spam',
    text: /\b(?:spam\w*|unsolicited|junk|bulk mail|blocklist\w*|blacklist\w*|block list|listed (?:at|in|on|by)|reputation|dnsbl|rbl)\b/i,
  },
  {
    cause: 'address-unknown',
    stages: ['rcpt', 'content'],
    text: /\b(?:(?:user|recipient|mailbox|address|account|empf(?:ä|ae)nger)\b.{0,60}\b(?:unknown|not found|does ?n.t exist|does not exist|unavailable|disabled|unbekannt|existiert nicht)|(?:no such|unknown|invalid) (?:user|recipient|mailbox|address|account))/i,
  },
  { cause: 'policy', status: /^7\.[0-9]+$/ },
  {
    cause: 'policy',
    text: /\b(?:policy|spf|dkim|dmarc|relay(?:ing)? (?:access )?denied|access denied|not allowed)\b/i,
  },
  { cause: 'mailbox-full', code: [552], stages: ['rcpt'] },
  { cause: 'message-too-large', code: [552], stages: ['mail', 'data', 'content'] },
  { cause: 'address-unknown', code: [550, 551, 553], stages: ['rcpt'] },
]

/** The likely cause behind a reply that is not success. */
export function causeOf(reply: Reply, stage: Stage): Cause {
  const status = reply.enhanced?.slice(2) ?? ''
  const text = reply.lines.join(' ').slice(0, 2000)
  const found = PATTERNS.find(
    (pattern) =>
      (pattern.status?.test(status) ?? true) &&
      (pattern.code?.includes(reply.code) ?? true) &&
      (pattern.stages?.includes(stage) ?? true) &&
      (pattern.text?.test(text) ?? true),
  )
  if (found !== undefined) return found.cause
  return replyClass(reply) === 'permanent' ? 'unknown' : 'recipient-trouble'
}

/** The hop's enhanced code where it fits its reply code, else one made from the code and the stage. */
export function statusOf(reply: Reply, stage: Stage): EnhancedStatus {
  const statusClass = replyClass(reply) === 'permanent' ? 5 : 4
  if (reply.enhanced?.startsWith(`${statusClass}.`)) return reply.enhanced
  if (reply.code === 421) return '4.3.2'
  if (reply.code === 552 || reply.code === 452) {
    if (stage === 'rcpt') return `${statusClass}.2.2`
    return reply.code === 552 ? '5.3.4' : '4.3.1'
  }
  if (stage === 'rcpt' && [550, 551, 553].includes(reply.code)) return '5.1.1'
  return reply.code === 556 ? '5.1.10' : `${statusClass}.0.0`
}
