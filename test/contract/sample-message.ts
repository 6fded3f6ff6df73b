// Messages for tests of the queue: complete, valid, and the same every time.
import type { JournalEntry, JournalKind } from '../../src/journal/entry.ts'
import type { MessageMeta } from '../../src/queue/message.ts'
import type { Failure } from '../../src/queue/outcome.ts'
import { NO_MESSAGE_DSN } from '../../src/smtp/dsn-parameters.ts'
import type { Recipient } from '../../src/smtp/envelope.ts'
import { type Mailbox, mailboxFrom } from '../../src/smtp/mailbox.ts'

const LIFETIME_MS = 120 * 3_600_000
const HEADER = Buffer.from(
  'From: max@example.com\r\nTo: erika@example.org\r\nSubject: =?utf-8?Q?=C3=84rger?=\r\n',
)

/** A mailbox that is known to be valid. */
export function mailbox(text: string): Mailbox {
  const parsed = mailboxFrom(text)
  if (parsed === null) throw new Error(`${text} is no mailbox`)
  return parsed
}

export const sampleRecipient = (text: string): Recipient => ({
  forwardPath: mailbox(text),
  dsn: { notify: ['failure', 'delay'], orcpt: `rfc822;${text}` },
})

export const sampleMeta = (id: string, acceptedAt: number, bodyBytes: number): MessageMeta => ({
  id,
  kind: 'mail',
  customer: 'Kanzlei Müller',
  credential: 'mueller-1',
  envelope: {
    reversePath: mailbox('max@example.com'),
    dsn: { ...NO_MESSAGE_DSN, envid: 'QQ314159' },
    smtpUtf8: false,
    requireTls: false,
  },
  header: HEADER,
  sizeBytes: HEADER.length + bodyBytes,
  eightBit: true,
  headerUtf8: false,
  permit: 'subject-tag',
  level: 'encrypt',
  receivedOverTls: true,
  acceptedAt,
  expiresAt: acceptedAt + LIFETIME_MS,
})

export const sampleEntry = (messageId: string, kind: JournalKind, at: number): JournalEntry => ({
  at,
  kind,
  messageId,
  customer: 'Kanzlei Müller',
  reversePath: 'max@example.com',
  forwardPath: kind === 'accepted' ? null : 'erika@example.org',
  facts: { sizeBytes: 10_240, permit: null, tls: true, reply: '250 2.0.0 OK id=4711' },
})

export const sampleFailure: Failure = {
  kind: 'deferred',
  scope: 'host',
  status: '4.4.2',
  cause: 'connection-trouble',
  reply: { code: 421, enhanced: '4.4.2', lines: ['try', 'later'] },
  detail: 'the connection was closed',
  place: { mxHost: 'mx.example.org', address: '192.0.2.1', port: 25 },
  evidence: {
    kind: 'tls',
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    group: 'X25519',
    certificateSha256: 'ab'.repeat(32),
    authenticatedBy: 'none',
    level: 'encrypt',
    resumed: false,
  },
}
