// Messages, recipients and states as the stores keep them, sealed under the message's key, and back. What comes
// back is checked in every part that code relies on: a damaged row yields `null`, is put aside by the caller,
// and never stops the gateway. Both stores write what stands here; columns and statements are their own.
import type { JournalEntry, JournalKind } from '../journal/entry.ts'
import type { DeliveryState, MessageMeta, NewMessage } from '../queue/message.ts'
import { CAUSES, type Failure } from '../queue/outcome.ts'
import type { MessageKey, Vault } from '../queue/vault.ts'
import { Fault } from '../runtime/fault.ts'
import { type Domain, parseDomain } from '../smtp/domain.ts'
import { type EnhancedStatus, parseEnhancedStatus } from '../smtp/enhanced-status.ts'
import type { Recipient } from '../smtp/envelope.ts'
import type { Mailbox } from '../smtp/mailbox.ts'
import type { Reply } from '../smtp/reply.ts'
import { SECURITY_LEVELS } from '../smtp/security-level.ts'

/** A message as a store writes it: sealed, but for what queries need. */
export interface MessageRecord {
  readonly id: string
  readonly customer: string | null
  readonly sizeBytes: number
  readonly acceptedAt: number
  readonly expiresAt: number
  /** `file`: the body lies outside of the database, and was sealed when it was written. */
  readonly location: 'inline' | 'file'
  /** Octets of the body before it was sealed. */
  readonly bodyBytes: number
  /** Id of the master key, and the message key that it wrapped; both empty when nothing is encrypted. */
  readonly masterKey: string
  readonly wrappedKey: Uint8Array
  /** Meta data and header, sealed. */
  readonly envelope: Uint8Array
  /** The sealed body in pieces; empty when it lies in a file. */
  readonly body: readonly Uint8Array[]
  readonly deliveries: readonly { readonly domain: string; readonly recipient: Uint8Array }[]
}

/** A journal entry; `facts` is JSON. The event log is not encrypted. */
export interface EventRow {
  readonly at: number
  readonly kind: string
  readonly messageId: string
  readonly customer: string | null
  readonly reversePath: string
  readonly forwardPath: string | null
  readonly facts: string
}

/** What stands before the header in a sealed envelope, as one line of JSON. */
type StoredMeta = Omit<MessageMeta, 'header'>

const LINE_END = 0x0a

/**
 * The message under `key`. A body that is not `inline` was sealed by the same key when it was written; an
 * inline one is sealed here, so `key` must be new.
 */
export function encodeMessage({ meta, recipients, body }: NewMessage, key: MessageKey): MessageRecord {
  const isInline = body.location === 'inline'
  const json = JSON.stringify({ ...meta, header: undefined } satisfies StoredMeta & { header: undefined })
  return {
    id: meta.id,
    customer: meta.customer,
    sizeBytes: meta.sizeBytes,
    acceptedAt: meta.acceptedAt,
    expiresAt: meta.expiresAt,
    location: isInline ? 'inline' : 'file',
    bodyBytes: body.sizeBytes,
    masterKey: key.masterKeyId,
    wrappedKey: key.wrapped,
    envelope: key.seal('envelope', Buffer.concat([Buffer.from(`${json}\n`), meta.header])),
    body: isInline ? sealAll(key, body.inMemory ?? []) : [],
    deliveries: recipients.map((recipient, position) => ({
      domain: recipient.forwardPath.domain,
      recipient: key.seal(`recipient ${position}`, Buffer.from(JSON.stringify(recipient))),
    })),
  }
}

function sealAll(key: MessageKey, chunks: readonly Uint8Array[]): Uint8Array[] {
  const pipe = key.sealBody()
  return [...chunks.flatMap((chunk) => pipe.write(chunk)), ...pipe.end()]
}

/** The state of the delivery at `position`, sealed. */
export const encodeState = (key: MessageKey, position: number, state: DeliveryState): Uint8Array =>
  key.seal(`state ${position}`, Buffer.from(JSON.stringify(state)))

export const encodeEntry = ({ facts, ...rest }: JournalEntry): EventRow => ({
  ...rest,
  facts: JSON.stringify(facts),
})

/** A message as a store finds it again. */
export interface FoundMessage {
  readonly id: string
  readonly masterKey: string
  readonly wrappedKey: Uint8Array
  readonly envelope: Uint8Array
}

export type OpenedMessage =
  | { readonly kind: 'opened'; readonly key: MessageKey; readonly meta: MessageMeta }
  /** `reason`: one line for log and journal. */
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Key and meta data of a stored message. Never throws for what is damaged, or encrypted by a key that is gone. */
export function openMessage(vault: Vault, found: FoundMessage): OpenedMessage {
  try {
    const key = vault.openKey(found.id, found.masterKey, found.wrappedKey)
    const meta = decodeMessage(key, found.id, found.envelope)
    return meta === null
      ? { kind: 'unreadable', reason: 'message unreadable' }
      : { kind: 'opened', key, meta }
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'spool-unreadable') throw error
    return { kind: 'unreadable', reason: error.message }
  }
}

/** The message of a sealed envelope, or `null` when it is damaged. */
export function decodeMessage(key: MessageKey, id: string, envelope: Uint8Array): MessageMeta | null {
  const octets = opened(key, 'envelope', envelope)
  const end = octets?.indexOf(LINE_END) ?? -1
  if (octets === null || end < 0) return null
  const stored = parse(octets.toString('utf8', 0, end))
  return isStoredMeta(stored) && stored.id === id ? { ...stored, header: octets.subarray(end + 1) } : null
}

/** The recipient of the delivery at `position`, or `null` when it is damaged. */
export function decodeRecipient(key: MessageKey, position: number, sealed: Uint8Array): Recipient | null {
  const octets = opened(key, `recipient ${position}`, sealed)
  const stored = octets === null ? null : parse(octets.toString())
  return isRecipient(stored) ? stored : null
}

/** `sealed` is `null` before the first attempt; the result is when it is damaged. */
export function decodeState(
  key: MessageKey,
  position: number,
  sealed: Uint8Array | null,
): DeliveryState | null {
  if (sealed === null) return FRESH_STATE
  const octets = opened(key, `state ${position}`, sealed)
  const stored = octets === null ? null : parse(octets.toString())
  return isState(stored) ? stored : null
}

function opened(key: MessageKey, label: string, sealed: Uint8Array): Buffer | null {
  try {
    return key.open(label, sealed)
  } catch (error) {
    if (error instanceof Fault && error.code === 'spool-unreadable') return null
    throw error
  }
}

export const FRESH_STATE: DeliveryState = {
  attempts: 0,
  lastFailure: null,
  noTlsSince: null,
  delayNotified: false,
}

/** A damaged entry keeps its place in the story, without its facts. */
export function decodeEntry(row: EventRow): JournalEntry {
  const facts = parse(row.facts)
  const kind = isJournalKind(row.kind) ? row.kind : 'held'
  return { ...row, kind, facts: isFacts(facts) ? facts : {} }
}

/** A JSON array of texts in which every one passes, or `null`. */
export function decodeList<T extends string>(json: string, passes: (text: string) => text is T): T[] | null {
  const stored = parse(json)
  if (!Array.isArray(stored)) return null
  const list = stored.filter((item): item is T => typeof item === 'string' && passes(item))
  return list.length === stored.length ? list : null
}

export const isDomain = (text: string): text is Domain => parseDomain(text) === text

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // not JSON: the predicates say no to it
  }
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
const isNumberOrNull = (value: unknown): value is number | null => value === null || Number.isFinite(value)
const isOneOf = (value: unknown, list: readonly unknown[]): boolean => list.includes(value)
const all = (value: Fields, keys: readonly string[], type: string): boolean =>
  keys.every((key) => typeof value[key] === type)

const isMailbox = (value: unknown): value is Mailbox =>
  isFields(value) &&
  all(value, ['localPart', 'text', 'domain'], 'string') &&
  isDomain(String(value['domain']))

const isRecipient = (value: unknown): value is Recipient => {
  if (!isFields(value) || !isMailbox(value['forwardPath']) || !isFields(value['dsn'])) return false
  const { notify, orcpt } = value['dsn']
  const conditions = ['success', 'failure', 'delay']
  const isList = Array.isArray(notify) && notify.every((condition) => isOneOf(condition, conditions))
  return isTextOrNull(orcpt) && (notify === null || notify === 'never' || isList)
}

const isEnvelope = (value: unknown): boolean =>
  isFields(value) &&
  (value['reversePath'] === null || isMailbox(value['reversePath'])) &&
  isFields(value['dsn']) &&
  isOneOf(value['dsn']['ret'], ['full', 'headers', null]) &&
  isTextOrNull(value['dsn']['envid']) &&
  all(value, ['smtpUtf8', 'requireTls'], 'boolean')

const PERMITS = ['subject-tag', 'x-klartext', 'tls-required-no', 'notification', null]

const isStoredMeta = (value: unknown): value is StoredMeta =>
  isFields(value) &&
  isText(value['id']) &&
  isOneOf(value['kind'], ['mail', 'notification']) &&
  isTextOrNull(value['customer']) &&
  isTextOrNull(value['credential']) &&
  isEnvelope(value['envelope']) &&
  all(value, ['sizeBytes', 'acceptedAt', 'expiresAt'], 'number') &&
  all(value, ['eightBit', 'headerUtf8', 'receivedOverTls'], 'boolean') &&
  isOneOf(value['permit'], PERMITS) &&
  isOneOf(value['level'], SECURITY_LEVELS)

const isReply = (value: unknown): value is Reply =>
  isFields(value) &&
  Number.isInteger(value['code']) &&
  (value['enhanced'] === null || isStatus(value['enhanced'])) &&
  Array.isArray(value['lines']) &&
  value['lines'].every(isText)

const isStatus = (value: unknown): value is EnhancedStatus =>
  isText(value) && parseEnhancedStatus(value) === value

const isEvidence = (value: unknown): boolean => {
  if (!isFields(value)) return false
  if (value['kind'] === 'cleartext') return isText(value['permitSource'])
  const texts = ['protocol', 'cipher', 'certificateSha256', 'authenticatedBy']
  return value['kind'] === 'tls' && all(value, texts, 'string') && isOneOf(value['level'], SECURITY_LEVELS)
}

const SCOPES = ['recipient', 'message', 'session', 'host', 'domain']

const isFailure = (value: unknown): value is Failure =>
  isFields(value) &&
  isOneOf(value['kind'], ['deferred', 'failed']) &&
  isOneOf(value['scope'], SCOPES) &&
  isStatus(value['status']) &&
  isOneOf(value['cause'], CAUSES) &&
  (value['reply'] === null || isReply(value['reply'])) &&
  isText(value['detail']) &&
  isFields(value['place']) &&
  isTextOrNull(value['place']['mxHost']) &&
  isTextOrNull(value['place']['address']) &&
  isNumberOrNull(value['place']['port']) &&
  (value['evidence'] === null || isEvidence(value['evidence']))

const isState = (value: unknown): value is DeliveryState =>
  isFields(value) &&
  Number.isInteger(value['attempts']) &&
  (value['lastFailure'] === null || isFailure(value['lastFailure'])) &&
  isNumberOrNull(value['noTlsSince']) &&
  typeof value['delayNotified'] === 'boolean'

const JOURNAL_KINDS: readonly string[] = [
  'accepted',
  'delivered',
  'deferred',
  'failed',
  'notified',
  'held',
  'released',
  'dropped',
] satisfies JournalKind[]

const isJournalKind = (value: string): value is JournalKind => JOURNAL_KINDS.includes(value)

const isFacts = (value: unknown): value is JournalEntry['facts'] =>
  isFields(value) && Object.values(value).every((fact) => fact === null || typeof fact !== 'object')
