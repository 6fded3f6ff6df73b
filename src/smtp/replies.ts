// The catalogue of our own replies: code, enhanced code, one helpful sentence, id. Texts live nowhere else;
// `docs/replies.md` is generated from here. Ids are never re-used. Public text names no configuration.
// `{name}` stands for a value that the caller gives; values are sanitised on the way out.
import type { EnhancedStatus } from './enhanced-status.ts'
import { type Reply, sanitiseText } from './reply.ts'

interface ReplyDefinition {
  readonly code: number
  readonly enhanced: EnhancedStatus
  readonly text: string
  /** What the user or administrator does about it, for the documentation. */
  readonly advice: string
}

const define = <T extends Record<string, ReplyDefinition>>(replies: T): T => replies

export const REPLIES = define({
  'tls-required': {
    code: 530,
    enhanced: '5.7.0',
    text: 'Must issue a STARTTLS command first',
    advice: 'Switch on STARTTLS (or TLS) in the mail program or server.',
  },
  'auth-required': {
    code: 530,
    enhanced: '5.7.0',
    text: 'Authentication required; log in with the user name and password of your account',
    advice: 'Switch on authentication for the outgoing server.',
  },
  'auth-failed': {
    code: 535,
    enhanced: '5.7.8',
    text: 'User name or password is wrong',
    advice: 'Check user name and password.',
  },
  'auth-too-many': {
    code: 421,
    enhanced: '4.7.0',
    text: 'Too many failed logins on this connection; try again later with the right password',
    advice: 'Check user name and password.',
  },
  'auth-busy': {
    code: 454,
    enhanced: '4.7.0',
    text: 'Logins cannot be checked right now; try again in a minute',
    advice: 'Nothing; the client tries again.',
  },
  'too-many-connections': {
    code: 421,
    enhanced: '4.7.0',
    text: '{hostname} Too many connections from your address; close some and try again',
    advice: 'Lower the number of parallel connections.',
  },
  'server-busy': {
    code: 421,
    enhanced: '4.3.2',
    text: '{hostname} Too many connections at the moment; try again in a minute',
    advice: 'Nothing; the client tries again.',
  },
  'shutting-down': {
    code: 421,
    enhanced: '4.3.2',
    text: '{hostname} is going down for a moment; try again in a minute',
    advice: 'Nothing; the client tries again.',
  },
  'session-too-long': {
    code: 421,
    enhanced: '4.4.2',
    text: '{hostname} This session took too long; connect again',
    advice: 'Nothing; the client connects again.',
  },
  'parameter-unknown': {
    code: 555,
    enhanced: '5.5.4',
    text: 'The parameter {parameter} is not supported',
    advice: 'Send without this parameter.',
  },
  'parameter-invalid': {
    code: 501,
    enhanced: '5.5.4',
    text: 'The parameter {parameter} has an invalid value',
    advice: 'Correct the parameter.',
  },
  'syntax-mail': {
    code: 501,
    enhanced: '5.5.4',
    text: 'Syntax: MAIL FROM:<address> [parameters]',
    advice: 'Correct the command.',
  },
  'syntax-rcpt': {
    code: 501,
    enhanced: '5.5.4',
    text: 'Syntax: RCPT TO:<address> [parameters]',
    advice: 'Correct the command.',
  },
  'sender-invalid': {
    code: 553,
    enhanced: '5.1.7',
    text: 'The sender address {address} is not valid: it {reason}',
    advice: 'Correct the sender address.',
  },
  'sender-null': {
    code: 550,
    enhanced: '5.7.1',
    text: 'Mail without a sender address is not accepted here; use an address that can receive replies',
    advice: 'Use a real sender address; a customer mail server can be allowed to send its notices.',
  },
  'sender-no-reply': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The sender {address} looks like an address that nobody reads; use one that can receive replies',
    advice: 'Use a sender address that somebody reads.',
  },
  'sender-internal': {
    code: 550,
    enhanced: '5.1.8',
    text: 'The sender {address} belongs to an internal domain that cannot receive mail; use your public address',
    advice: 'Use the public mail address as sender.',
  },
  'sender-literal': {
    code: 550,
    enhanced: '5.1.8',
    text: 'Sender addresses with an IP address instead of a domain are not accepted',
    advice: 'Use the public mail address as sender.',
  },
  'sender-domain-unreachable': {
    code: 550,
    enhanced: '5.1.8',
    text: 'The domain of the sender {address} has no mail server, so replies and notices cannot arrive',
    advice: 'Correct the sender address, or set MX records for its domain.',
  },
  'sender-domain-null-mx': {
    code: 550,
    enhanced: '5.7.27',
    text: 'The domain of the sender {address} declares that it takes no mail (null MX)',
    advice: 'Use a sender address that can receive replies.',
  },
  'sender-domain-unknown-now': {
    code: 451,
    enhanced: '4.4.3',
    text: 'The domain of the sender {address} cannot be looked up right now; try again in a few minutes',
    advice: 'Nothing; the client tries again.',
  },
  'sender-not-licensed': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The sender {address} is not licensed for this account; use a licensed address or have this one added',
    advice: 'Use a licensed sender, or ask the provider to add the address.',
  },
  'recipient-invalid': {
    code: 553,
    enhanced: '5.1.3',
    text: 'The recipient address {address} is not valid: it {reason}',
    advice: 'Correct the recipient address.',
  },
  'recipient-literal': {
    code: 550,
    enhanced: '5.1.3',
    text: 'Recipients with an IP address instead of a domain are not accepted',
    advice: "Use the recipient's mail address.",
  },
  'recipients-too-many': {
    code: 452,
    enhanced: '4.5.3',
    text: 'Too many recipients; at most {max} in one message',
    advice: 'Nothing; mail servers send the rest in another transaction. People: split the list.',
  },
  'smtputf8-needed': {
    code: 553,
    enhanced: '5.6.7',
    text: 'The address {address} needs the SMTPUTF8 extension',
    advice: 'Use a client that supports international addresses.',
  },
  'bad-sequence': {
    code: 503,
    enhanced: '5.5.1',
    text: 'Bad sequence of commands: {expected} first',
    advice: 'Correct the client.',
  },
  'message-too-large': {
    code: 552,
    enhanced: '5.3.4',
    text: 'The message is larger than {max} octets',
    advice: 'Send it in parts or by another way.',
  },
  'message-line-ends': {
    code: 550,
    enhanced: '5.6.0',
    text: 'The message holds a bare CR or LF or a NUL; lines must end in CRLF',
    advice: 'Correct the sending program.',
  },
  'message-line-too-long': {
    code: 550,
    enhanced: '5.6.0',
    text: 'The message holds a line longer than {max} octets',
    advice: 'Correct the sending program, e.g. let it encode the text.',
  },
  'header-too-large': {
    code: 552,
    enhanced: '5.3.4',
    text: 'The header of the message is larger than {max} octets or has too many fields',
    advice: 'Shorten the list of recipients in To and Cc, or correct the sending program.',
  },
  'header-malformed': {
    code: 550,
    enhanced: '5.6.0',
    text: 'The header of the message is malformed: {reason}',
    advice: 'Correct the sending program.',
  },
  'author-missing': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The message has no From field; it must hold exactly the sender address {address}',
    advice: 'Set From to the sender address.',
  },
  'author-several': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The message has several From fields or several addresses in From; exactly {address} is allowed',
    advice: 'Send with one author.',
  },
  'author-unclear': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The From field cannot be read without doubt: {reason}; write it as Name <{address}>',
    advice: 'Write From as a plain name and address.',
  },
  'author-field-unclear': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The {field} field cannot be read without doubt: {reason}; correct or remove it',
    advice: 'Remove the field, or write it as a plain name and address.',
  },
  'author-differs': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The From field names {author}, but the envelope sender is {address}; both must be the same',
    advice: 'Set both to the same licensed address.',
  },
  'author-not-licensed': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The {field} field names {author}, which is not licensed for this account',
    advice: 'Remove the field or use a licensed address.',
  },
  'permit-unclear': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The subject holds something that looks like [Klartext] but is not written plainly; write it with ordinary square brackets or leave it out',
    advice: 'Write [Klartext] plainly.',
  },
  'permit-not-allowed': {
    code: 550,
    enhanced: '5.7.1',
    text: 'This account may not send unencrypted mail; remove [Klartext] from the message',
    advice: 'Send without the mark, or ask for the permission.',
  },
  'subject-several': {
    code: 550,
    enhanced: '5.6.0',
    text: 'The message has several Subject fields',
    advice: 'Correct the sending program.',
  },
  'virus-found': {
    code: 550,
    enhanced: '5.7.1',
    text: 'The message holds a virus or malware: {signature}; nothing was kept',
    advice: 'Check the computer and the attachment.',
  },
  'scanner-unavailable': {
    code: 451,
    enhanced: '4.7.1',
    text: 'The message cannot be scanned for viruses right now; try again in a few minutes',
    advice: 'Nothing; the client tries again.',
  },
  'loop-detected': {
    code: 554,
    enhanced: '5.4.6',
    text: 'The message has passed this server too often (mail loop)',
    advice: 'Correct the routing of the mail servers.',
  },
  'storage-low': {
    code: 452,
    enhanced: '4.3.1',
    text: 'Not enough storage right now; try again in a few minutes',
    advice: 'Nothing; the client tries again.',
  },
  'local-fault': {
    code: 451,
    enhanced: '4.3.0',
    text: 'Temporary local problem, incident {incident}; try again in a few minutes',
    advice: 'Nothing; the client tries again. Quote the incident when asking.',
  },
  'too-many-bad-commands': {
    code: 421,
    enhanced: '4.7.0',
    text: 'Too many errors; connect again',
    advice: 'Correct the client.',
  },
  'command-not-recognized': {
    code: 500,
    enhanced: '5.5.1',
    text: 'Command not recognized',
    advice: 'Correct the client.',
  },
  'sender-ok': { code: 250, enhanced: '2.1.0', text: 'Sender OK', advice: '' },
  'recipient-ok': { code: 250, enhanced: '2.1.5', text: 'Recipient OK', advice: '' },
  'message-accepted': { code: 250, enhanced: '2.0.0', text: 'OK id={id}', advice: '' },
})

export type ReplyId = keyof typeof REPLIES

/** A reply of the catalogue with its values filled in. `id` goes to the log. */
export interface CataloguedReply extends Reply {
  readonly id: ReplyId
}

/** Fills in the text; values are sanitised and cut to 200 characters. */
export function cataloguedReply(
  id: ReplyId,
  values: Readonly<Record<string, string | number>> = {},
): CataloguedReply {
  const { code, enhanced, text } = REPLIES[id]
  const filled = text.replace(/\{([a-z]+)\}/gi, (_, name: string) =>
    sanitiseText(String(values[name] ?? ''), 200),
  )
  return { id, code, enhanced, lines: [filled] }
}
