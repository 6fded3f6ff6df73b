// Messages, results and wording for the tests of notices. Everything is fixed: ids, times, host names.
import { readFile } from 'node:fs/promises'
import { createNotifier, type NotifierDependencies } from '../../src/notification/notifier.ts'
import { type NotificationSettings, notificationSettings } from '../../src/notification/settings.ts'
import { loadWording, type NoticeWording } from '../../src/notification/wording.ts'
import type { Claim, DeliveryState, MessageMeta } from '../../src/queue/message.ts'
import type { NoticePlanner } from '../../src/queue/notice.ts'
import type { Failure, Outcome } from '../../src/queue/outcome.ts'
import type { Recipient } from '../../src/smtp/envelope.ts'
import { type Mailbox, mailboxFrom } from '../../src/smtp/mailbox.ts'
import { decodeReply } from '../../src/smtp/reply.ts'

export const ACCEPTED_AT = Date.UTC(2026, 10, 23, 8, 5, 0)
export const NOW = Date.UTC(2026, 10, 23, 9, 20, 30)
export const EXPIRES_AT = ACCEPTED_AT + 120 * 3_600_000
export const HOSTNAME = 'relay.example.net'
export const MESSAGE_ID = '01k9abcdefghjkmnpq'
export const NOTICE_ID = '01k9notcefghjkmnpq'

export const readShipped = (file: string): Promise<string> =>
  readFile(new URL(`../../config/notifications/${file}`, import.meta.url), 'utf8')

export const shippedWording = (languages: readonly string[]): Promise<NoticeWording> =>
  loadWording(readShipped, languages)

export function mailbox(text: string): Mailbox {
  const parsed = mailboxFrom(text)
  if (parsed === null) throw new Error(`not a mailbox: ${text}`)
  return parsed
}

export const HEADER = [
  'Received: by relay.example.net with ESMTPSA id 01k9abcdefghjkmnpq; Mon, 23 Nov 2026 08:05:00 +0000',
  'From: Erika Muster <erika@buero.example>',
  'To: Max <max@kunde.example>',
  'Subject: Angebot Nr. 7',
  'Date: Mon, 23 Nov 2026 09:04:58 +0100',
  'Message-ID: <abc.123@buero.example>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  '',
].join('\r\n')

type MetaChanges = Partial<Omit<MessageMeta, 'envelope' | 'header'>> & {
  readonly envelope?: Partial<MessageMeta['envelope']>
  readonly header?: string
}

export function messageMeta(changes: MetaChanges = {}): MessageMeta {
  return {
    id: MESSAGE_ID,
    kind: 'mail',
    customer: 'buero',
    credential: 'buero-1',
    sizeBytes: 12_345,
    eightBit: false,
    headerUtf8: false,
    permit: null,
    level: 'encrypt',
    receivedOverTls: true,
    acceptedAt: ACCEPTED_AT,
    expiresAt: EXPIRES_AT,
    ...changes,
    header: Buffer.from(changes.header ?? HEADER),
    envelope: {
      reversePath: mailbox('erika@buero.example'),
      dsn: { ret: null, envid: null },
      smtpUtf8: false,
      requireTls: false,
      ...changes.envelope,
    },
  }
}

export interface ClaimChanges {
  readonly message?: MessageMeta
  readonly address?: string
  readonly dsn?: Recipient['dsn']
  readonly state?: Partial<DeliveryState>
  readonly index?: number
}

export function claimOf(changes: ClaimChanges = {}): Claim {
  return {
    message: changes.message ?? messageMeta(),
    body: { sizeBytes: 0, inMemory: [], location: 'inline' },
    index: changes.index ?? 0,
    recipient: {
      forwardPath: mailbox(changes.address ?? 'max@kunde.example'),
      dsn: changes.dsn ?? { notify: null, orcpt: null },
    },
    state: { attempts: 1, lastFailure: null, noTlsSince: null, delayNotified: false, ...changes.state },
    token: 1,
    route: null,
    order: 'deliver',
  }
}

export const TLS_EVIDENCE = {
  kind: 'tls',
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  group: 'X25519',
  certificateSha256: 'ab'.repeat(32),
  authenticatedBy: 'dane',
  level: 'secure',
  resumed: false,
} as const

export const PLACE = { mxHost: 'mx1.kunde.example', address: '192.0.2.25', port: 25 }

export const failure = (changes: Partial<Failure> = {}): Failure => ({
  kind: 'failed',
  scope: 'recipient',
  status: '5.1.1',
  cause: 'address-unknown',
  reply: decodeReply(550, ['5.1.1 <max@kunde.example>: Recipient address rejected:', '5.1.1 User unknown']),
  detail: 'RCPT was answered with 550',
  place: PLACE,
  evidence: { ...TLS_EVIDENCE, authenticatedBy: 'none', level: 'encrypt' },
  ...changes,
})

export const noEncryptedPath = (changes: Partial<Failure> = {}): Failure =>
  failure({
    scope: 'domain',
    status: '5.7.10',
    cause: 'no-encrypted-path',
    reply: null,
    detail: 'None of the MX hosts offers STARTTLS',
    evidence: null,
    ...changes,
  })

export const deferred = (changes: Partial<Failure> = {}): Failure =>
  failure({
    kind: 'deferred',
    scope: 'host',
    status: '4.4.1',
    cause: 'connection-trouble',
    reply: null,
    detail: 'Connection to mx1.kunde.example timed out',
    evidence: null,
    ...changes,
  })

export const delivered = (changes: Partial<Extract<Outcome, { kind: 'delivered' }>> = {}): Outcome => ({
  kind: 'delivered',
  reply: decodeReply(250, ['2.0.0 OK id=1sXyZ0-0004Qk-1b']),
  place: PLACE,
  evidence: TLS_EVIDENCE,
  dsnPassedOn: false,
  ...changes,
})

export const settingsWith = (changes: Record<string, unknown> = {}): NotificationSettings =>
  notificationSettings.parse(changes)

/** A planner over the shipped wording whose bodies stay in memory. */
export async function plannerWith(
  changes: Record<string, unknown> = {},
  dependencies: Partial<NotifierDependencies> = {},
): Promise<NoticePlanner> {
  const settings = settingsWith(changes)
  return createNotifier(
    {
      queue: {
        beginBody() {
          const chunks: Uint8Array[] = []
          return {
            write(chunk) {
              chunks.push(chunk)
              return null
            },
            finish: async () => ({
              sizeBytes: Buffer.concat(chunks).length,
              inMemory: chunks,
              location: 'inline',
            }),
            abort() {},
          }
        },
      },
      newId: () => NOTICE_ID,
      hostname: HOSTNAME,
      wording: await shippedWording(settings.languages),
      wishesOf: async () => ({ cleartextAllowed: true, languages: null }),
      ...dependencies,
    },
    settings,
  )
}
