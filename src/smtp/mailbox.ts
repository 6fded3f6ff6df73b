// Mailboxes, reverse-path and forward-path. RFC 5321 §4.1.2, RFC 6531 §3.3.
// The grammar is stricter than what some servers take: no source routes beyond being ignored, no control
// characters, no percent hack or bang path in an unquoted local-part that would make a next hop route.
import { type Domain, parseDomain } from './domain.ts'

/** One mail address in its parts. `text` keeps the spelling of whoever wrote it, for replies and notices. */
export interface Mailbox {
  readonly localPart: string
  readonly domain: Domain
  readonly text: string
}

/** Where notifications about a message go. `null` is the null reverse-path `<>`. */
export type ReversePath = Mailbox | null

/** A recipient as the envelope names it. */
export type ForwardPath = Mailbox

/** What an address text turned out to be. `reason` is for the log and completes "the address …". */
export type ParsedMailbox =
  | { readonly kind: 'mailbox'; readonly mailbox: Mailbox }
  | { readonly kind: 'literal' }
  | { readonly kind: 'invalid'; readonly reason: string }

const LOCAL_PART_OCTETS_MAX = 64
const PATH_OCTETS_MAX = 254
const DOT_ATOM = /^[\p{L}\p{M}\p{N}#$&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}#$&'*+/=?^_`{|}~-]+)*$/u
// Inside quotes: printable ASCII but the quote and the backslash, which come escaped.
const QUOTED = /^"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u00a0-\uffff]|\\[\x20-\x7e])*"$/

const invalid = (reason: string): ParsedMailbox => ({ kind: 'invalid', reason })

/**
 * Takes `local-part@domain` apart (no angle brackets). The local-part is a dot-atom or a quoted string,
 * ASCII or UTF-8; whether UTF-8 is allowed here is the caller's question (`needsSmtpUtf8`).
 */
export function parseMailbox(text: string): ParsedMailbox {
  if (Buffer.byteLength(text) > PATH_OCTETS_MAX) return invalid('is longer than 254 octets')
  const at = text.lastIndexOf('@')
  if (at <= 0 || at === text.length - 1) return invalid('has no local-part or no domain')
  const localPart = text.slice(0, at)
  const domainText = text.slice(at + 1)
  if (Buffer.byteLength(localPart) > LOCAL_PART_OCTETS_MAX) return invalid('has a local-part over 64 octets')
  if (!DOT_ATOM.test(localPart) && !QUOTED.test(localPart)) {
    return invalid('has a local-part that RFC 5321 does not allow')
  }
  if (domainText.startsWith('[') && domainText.endsWith(']')) return { kind: 'literal' }
  const domain = parseDomain(domainText)
  if (domain === null) return invalid('has a domain that is not a valid host name')
  return { kind: 'mailbox', mailbox: { localPart, domain, text } }
}

/** For configuration and operators: a mailbox or an exception-free `null`. */
export function mailboxFrom(text: string): Mailbox | null {
  const parsed = parseMailbox(text)
  return parsed.kind === 'mailbox' ? parsed.mailbox : null
}

/**
 * Same mailbox? Domains by A-label; local-parts without regard to ASCII case: RFC 5321 §2.4 leaves case to
 * the receiver, and no mail system in use gives `Max@` and `max@` to two people.
 */
export const sameMailbox = (a: Mailbox, b: Mailbox): boolean =>
  a.domain === b.domain && foldCase(a.localPart) === foldCase(b.localPart)

const foldCase = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** The comparable form, e.g. as key of a licence: folded local-part, `@`, A-label domain. */
export const mailboxKey = (mailbox: Mailbox): string => `${foldCase(mailbox.localPart)}@${mailbox.domain}`

/** Address for the wire: local-part as written, domain as A-labels. */
export const wireAddress = (mailbox: Mailbox): string => `${mailbox.localPart}@${mailbox.domain}`

/** True when the local-part is not ASCII, so that every hop must offer SMTPUTF8. RFC 6531 §3.2. */
export const needsSmtpUtf8 = (mailbox: Mailbox): boolean => /[^\x20-\x7e]/.test(mailbox.localPart)
