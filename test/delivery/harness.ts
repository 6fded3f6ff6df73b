// Delivery with everything around it replaced at its ports: queue in memory, DNS from a table, notices
// recorded, recipients scripted on loopback addresses 127.0.0.x that stand for MX hosts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { deliverySettings, type PartnerSettings } from '../../src/delivery/settings.ts'
import { createDelivery, type Delivery } from '../../src/delivery/worker.ts'
import type { Answer, Resolver } from '../../src/dns/resolver.ts'
import type { Log } from '../../src/observability/log.ts'
import type { MessageMeta, NewMessage } from '../../src/queue/message.ts'
import type { NoticeItem, NoticeKind } from '../../src/queue/notice.ts'
import type { Outcome } from '../../src/queue/outcome.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { type Domain, parseDomain } from '../../src/smtp/domain.ts'
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN, type RecipientDsn } from '../../src/smtp/dsn-parameters.ts'
import { type Mailbox, mailboxFrom } from '../../src/smtp/mailbox.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { createMemoryQueue, type MemoryQueue } from '../support/memory-queue.ts'
import { type Recipient, type RecipientOptions, startRecipient } from '../support/recipient-server.ts'

export const authority = createCertificateAuthority()
export const certificate = authority.issue(['mx.recipient.test', 'mx2.recipient.test'])

export function domain(text: string): Domain {
  const parsed = parseDomain(text)
  if (parsed === null) throw new Error(`${text} is no domain`)
  return parsed
}

export function mailbox(text: string): Mailbox {
  const parsed = mailboxFrom(text)
  if (parsed === null) throw new Error(`${text} is no mailbox`)
  return parsed
}

/** What DNS says in a test: names to MX lists and addresses; everything else does not exist. */
export interface Zone {
  /** `10 mx.recipient.test`, or `trouble`. */
  readonly mx?: Readonly<Record<string, readonly string[] | 'trouble'>>
  readonly a?: Readonly<Record<string, readonly string[] | 'trouble'>>
  readonly aaaa?: Readonly<Record<string, readonly string[] | 'trouble'>>
}

export function resolverOf(zone: Zone): Resolver {
  const answer = <T>(
    entry: readonly string[] | 'trouble' | undefined,
    read: (text: string) => T,
    exists: boolean,
  ): Answer<T> => {
    if (entry === 'trouble') return { kind: 'trouble', reason: 'SERVFAIL' }
    if (entry !== undefined) {
      return { kind: 'records', records: entry.map(read), secure: false, ttlSeconds: 60, canonicalName: '' }
    }
    return { kind: exists ? 'no-data' : 'no-name', secure: false, ttlSeconds: 60 }
  }
  const exists = (name: string): boolean =>
    [zone.mx, zone.a, zone.aaaa].some((table) => table?.[name] !== undefined)
  const none = { kind: 'no-data', secure: false, ttlSeconds: 60 } as const
  return {
    mx: async (name) =>
      answer(
        zone.mx?.[name],
        (text) => {
          const [preference = '0', exchange = '.'] = text.split(' ')
          return { preference: Number(preference), exchange }
        },
        exists(name),
      ),
    a: async (name) => answer(zone.a?.[name], String, exists(name)),
    aaaa: async (name) => answer(zone.aaaa?.[name], String, exists(name)),
    txt: async () => none,
    tlsa: async () => none,
    stop: () => {},
  }
}

let messageNumber = 0

export interface MessageOptions {
  readonly to?: readonly string[]
  readonly dsn?: RecipientDsn
  readonly header?: string
  readonly body?: readonly Uint8Array[]
  readonly meta?: Partial<MessageMeta>
  readonly envelope?: Partial<MessageMeta['envelope']>
  readonly acceptedAt?: number
}

export const HEADER =
  'Received: by gateway.test\r\nFrom: anna@customer.test\r\nTo: max@recipient.test\r\nSubject: x\r\n'
export const BODY = '\r\nHello Max,\r\n..a line with a dot\r\n'
/** What arrives for HEADER and BODY: un-stuffed. */
export const ARRIVES = `${HEADER}\r\nHello Max,\r\n.a line with a dot\r\n`

export function newMessage(options: MessageOptions = {}): NewMessage {
  const header = Buffer.from(options.header ?? HEADER)
  const body = options.body ?? [Buffer.from(BODY)]
  const bodyBytes = body.reduce((sum, part) => sum + part.length, 0)
  const acceptedAt = options.acceptedAt ?? Date.now()
  return {
    meta: {
      id: `m${++messageNumber}`,
      kind: 'mail',
      customer: 'customer',
      credential: 'anna',
      envelope: {
        reversePath: mailbox('anna@customer.test'),
        dsn: NO_MESSAGE_DSN,
        smtpUtf8: false,
        requireTls: false,
        ...options.envelope,
      },
      header,
      sizeBytes: header.length + bodyBytes,
      eightBit: false,
      headerUtf8: false,
      permit: null,
      level: 'encrypt',
      receivedOverTls: true,
      acceptedAt,
      expiresAt: acceptedAt + 120 * 3_600_000,
      ...options.meta,
    },
    recipients: (options.to ?? ['max@recipient.test']).map((to) => ({
      forwardPath: mailbox(to),
      dsn: options.dsn ?? NO_RECIPIENT_DSN,
    })),
    body: { sizeBytes: bodyBytes, inMemory: body, location: 'memory' },
  }
}

export interface PlannedNotice {
  readonly kind: NoticeKind
  readonly messageId: string
  readonly items: readonly NoticeItem[]
}

export interface World {
  readonly delivery: Delivery
  readonly queue: MemoryQueue
  readonly notices: PlannedNotice[]
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[]
  /** A recipient on its own loopback address and the world's port. */
  recipient(address: string, options: RecipientOptions): Promise<Recipient>
  /** Enqueues, leased, and submits, as acceptance does. */
  send(message: NewMessage): Promise<void>
  /** The outcomes so far, as `delivered` or `deferred 4.4.1 connection-trouble`. */
  outcomes(): string[]
}

export interface WorldOptions {
  readonly zone: Zone
  /** Merged into the settings, in the form of the configuration file. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly partners?: PartnerSettings
  readonly clock?: Clock
  readonly planNotices?: (kind: NoticeKind) => NewMessage[]
  readonly allowedNetworks?: readonly string[]
}

/** Everything is stopped and checked for leaks when the test ends. */
export async function createWorld(t: TestContext, options: WorldOptions): Promise<World> {
  const clock = options.clock ?? systemClock
  const queue = createMemoryQueue(clock)
  const directory = mkdtempSync(join(tmpdir(), 'delivery-test-'))
  const root = join(directory, 'root.pem')
  writeFileSync(root, authority.certificate)
  // One port for all MX hosts: the first recipient of the world reserves it.
  const reserved = await startRecipient({ tls: null })
  const { port } = reserved
  const notices: PlannedNotice[] = []
  const events: World['events'] = []
  const log: Log = { event: (name, fields) => events.push({ name, fields }) }
  const settings = deliverySettings.parse({
    port,
    allowedNetworks: options.allowedNetworks ?? ['127.0.0.0/8'],
    trustedCertificates: [root],
    timeouts: { connect: '5s', greeting: '5s', handshake: '5s', command: '5s', data: '5s', finalDot: '5s' },
    ...options.settings,
  })
  const delivery = createDelivery(
    {
      queue,
      resolver: resolverOf(options.zone),
      clock,
      random: systemRandom,
      log,
      hostname: domain('gateway.test'),
      ownAddresses: () => ['127.0.0.99'],
      notices: {
        plan: async (kind, message, items) => {
          notices.push({ kind, messageId: message.id, items })
          return options.planNotices?.(kind) ?? []
        },
      },
    },
    settings,
    options.partners ?? [],
  )
  const recipients: Recipient[] = [reserved]
  t.after(async () => {
    await delivery.stop()
    await Promise.all(recipients.map((recipient) => recipient.stop()))
    rmSync(directory, { recursive: true })
  })
  return {
    delivery,
    queue,
    notices,
    events,
    async recipient(address, recipientOptions) {
      const recipient = await startRecipient({ ...recipientOptions, address, port })
      recipients.push(recipient)
      return recipient
    },
    async send(message) {
      delivery.submit(await queue.enqueue(message, [], { lease: true }))
    },
    outcomes: () => queue.entries.map((entry) => outcomeText(entry.kind, entry.facts)),
  }
}

const outcomeText = (kind: string, facts: Readonly<Record<string, unknown>>): string =>
  kind === 'delivered' ? kind : `${kind} ${facts['status']} ${facts['cause']}`

/** Resolves when `condition` holds; the test's own time limit ends the wait. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** The same short form for an outcome. */
export const shortOutcome = (outcome: Outcome): string =>
  outcome.kind === 'delivered' ? outcome.kind : `${outcome.kind} ${outcome.status} ${outcome.cause}`

/** `recipient.test` with one MX on 127.0.0.11, the usual case. */
export const ONE_MX: Zone = {
  mx: { 'recipient.test': ['10 mx.recipient.test'] },
  a: { 'mx.recipient.test': ['127.0.0.11'] },
}
/** Two MX hosts on 127.0.0.11 and 127.0.0.12, in this order. */
export const TWO_MX: Zone = {
  mx: { 'recipient.test': ['10 mx.recipient.test', '20 mx2.recipient.test'] },
  a: { 'mx.recipient.test': ['127.0.0.11'], 'mx2.recipient.test': ['127.0.0.12'] },
}
