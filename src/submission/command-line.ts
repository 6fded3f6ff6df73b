// MAIL and RCPT command lines taken apart from their raw octets. RFC 5321 §4.1.1.2, §4.1.1.3, RFC 6531.
// smtp-server's own parser turns A-labels into U-labels, decodes xtext and lets unknown parameters pass
// (libraries.md A), so its handlers are replaced by these functions.

import { isEnvid, isOrcpt, type Notify, parseNotify, parseRet } from '../smtp/dsn-parameters.ts'
import type { Envelope, Recipient } from '../smtp/envelope.ts'
import { type Mailbox, needsSmtpUtf8, parseMailbox } from '../smtp/mailbox.ts'
import { type CataloguedReply, cataloguedReply, type ReplyId } from '../smtp/replies.ts'

/** What MAIL asked for. `reversePath` is `null` for `<>`, and the whole is a refusal when it cannot be. */
export type MailCommand =
  | {
      readonly kind: 'mail'
      readonly envelope: Omit<Envelope, 'recipients'>
      readonly declaredSize: number | null
    }
  | { readonly kind: 'refused'; readonly reply: CataloguedReply }

export type RcptCommand =
  | { readonly kind: 'rcpt'; readonly recipient: Recipient }
  | { readonly kind: 'refused'; readonly reply: CataloguedReply }

interface Refusal {
  readonly kind: 'refused'
  readonly reply: CataloguedReply
}
type Parameters = ReadonlyMap<string, string | null>

const refused = (id: ReplyId, values: Readonly<Record<string, string>> = {}): Refusal => ({
  kind: 'refused',
  reply: cataloguedReply(id, values),
})

/** The command line as text, or `null` when it is not UTF-8 or holds control characters. */
export function decodeCommandLine(line: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    return /[\u0000-\u001f\u007f-\u009f]/.test(text) ? null : text
  } catch {
    return null
  }
}

/** Cuts `VERB:<path> parameters` into path and parameters. The path may hold a quoted string with `>` or blanks. */
function cut(text: string, verb: RegExp): { path: string; parameters: Parameters } | null {
  const match = verb.exec(text)
  if (!match) return null
  const rest = text.slice(match[0].length)
  // A source route is ignored, as RFC 5321 appendix C asks.
  const path = /^<(?:@[^\s:,<>"]+(?:,@[^\s:,<>"]+)*:)?((?:"(?:[^"\\]|\\.)*"|[^\s<>"])*)>(?= |$)/.exec(rest)
  if (!path) return null
  const parameters = new Map<string, string | null>()
  for (const word of rest.slice(path[0].length).split(' ')) {
    if (word === '') continue
    const equals = word.indexOf('=')
    const key = (equals < 0 ? word : word.slice(0, equals)).toUpperCase()
    if (!/^[A-Z0-9][A-Z0-9-]*$/.test(key) || parameters.has(key)) return null
    parameters.set(key, equals < 0 ? null : word.slice(equals + 1))
  }
  return { path: path[1] ?? '', parameters }
}

const firstUnknown = (parameters: Parameters, known: readonly string[]): string | undefined =>
  [...parameters.keys()].find((key) => !known.includes(key))

const invalidParameter = (parameter: string): Refusal => refused('parameter-invalid', { parameter })

/** Parses `MAIL FROM:<…> …`. Unknown parameters are 555 (RFC 5321 §4.1.1.11). */
export function parseMailCommand(text: string): MailCommand {
  const parts = cut(text, /^MAIL FROM: ?/i)
  if (!parts) return refused('syntax-mail')
  const { path, parameters } = parts
  const unknown = firstUnknown(parameters, ['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'AUTH'])
  if (unknown !== undefined) return refused('parameter-unknown', { parameter: unknown })
  const size = parameters.get('SIZE')
  if (parameters.has('SIZE') && !/^[0-9]{1,20}$/.test(size ?? '')) return invalidParameter('SIZE')
  if (parameters.has('BODY') && !/^(?:7BIT|8BITMIME)$/i.test(parameters.get('BODY') ?? ''))
    return invalidParameter('BODY')
  if (parameters.has('SMTPUTF8') && parameters.get('SMTPUTF8') !== null) return invalidParameter('SMTPUTF8')
  const ret = parameters.has('RET') ? parseRet(parameters.get('RET') ?? '') : null
  if (ret === undefined) return invalidParameter('RET')
  const envid = parameters.get('ENVID') ?? null
  if (parameters.has('ENVID') && (envid === null || !isEnvid(envid))) return invalidParameter('ENVID')
  const smtpUtf8 = parameters.has('SMTPUTF8')
  const sender = parseSender(path, smtpUtf8)
  if (sender !== null && 'reply' in sender) return sender
  const envelope = { reversePath: sender, dsn: { ret, envid }, smtpUtf8, requireTls: false }
  return { kind: 'mail', envelope, declaredSize: size === undefined || size === null ? null : Number(size) }
}

function parseSender(path: string, smtpUtf8: boolean): Mailbox | null | Refusal {
  if (path === '') return null
  const parsed = parseMailbox(path)
  if (parsed.kind === 'literal') return refused('sender-literal')
  if (parsed.kind === 'invalid') return refused('sender-invalid', { address: path, reason: parsed.reason })
  if (needsSmtpUtf8(parsed.mailbox) && !smtpUtf8) return refused('smtputf8-needed', { address: path })
  return parsed.mailbox
}

/** Parses `RCPT TO:<…> …` within a transaction that did or did not ask for SMTPUTF8. */
export function parseRcptCommand(text: string, smtpUtf8: boolean): RcptCommand {
  const parts = cut(text, /^RCPT TO: ?/i)
  if (!parts) return refused('syntax-rcpt')
  const { path, parameters } = parts
  const unknown = firstUnknown(parameters, ['NOTIFY', 'ORCPT'])
  if (unknown !== undefined) return refused('parameter-unknown', { parameter: unknown })
  const notify: Notify | undefined = parameters.has('NOTIFY')
    ? parseNotify(parameters.get('NOTIFY') ?? '')
    : null
  if (notify === undefined) return invalidParameter('NOTIFY')
  const orcpt = parameters.get('ORCPT') ?? null
  if (parameters.has('ORCPT') && (orcpt === null || !isOrcpt(orcpt))) return invalidParameter('ORCPT')
  const parsed = parseMailbox(path)
  if (parsed.kind === 'literal') return refused('recipient-literal')
  if (parsed.kind === 'invalid') return refused('recipient-invalid', { address: path, reason: parsed.reason })
  if (needsSmtpUtf8(parsed.mailbox) && !smtpUtf8) return refused('smtputf8-needed', { address: path })
  return { kind: 'rcpt', recipient: { forwardPath: parsed.mailbox, dsn: { notify, orcpt } } }
}
