// Messages, recipients and states as JSON columns, and back. What comes back is checked in every part that
// code relies on: a damaged row yields `null`, is put aside by the caller, and never stops the gateway.
import type { JournalEntry, JournalKind } from '../../journal/entry.ts'
import type { DeliveryState, MessageMeta, NewMessage } from '../../queue/message.ts'
import { CAUSES, type Failure } from '../../queue/outcome.ts'
import { type Domain, parseDomain } from '../../smtp/domain.ts'
import { type EnhancedStatus, parseEnhancedStatus } from '../../smtp/enhanced-status.ts'
import type { Recipient } from '../../smtp/envelope.ts'
import type { Mailbox } from '../../smtp/mailbox.ts'
import type { Reply } from '../../smtp/reply.ts'
import { SECURITY_LEVELS } from '../../smtp/security-level.ts'
import type { EventRow, MessageRow } from './writer/protocol.ts'

/** What the column `meta` holds: everything but the header, which has a column of its own. */
type StoredMeta = Omit<MessageMeta, 'header'>

/** The row of a message, and its octets in the order header, inline body. */
export function encodeMessage({ meta, recipients, body }: NewMessage): {
  row: MessageRow
  octets: Uint8Array[]
} {
  const inline = body.location === 'inline'
  const row: MessageRow = {
    id: meta.id,
    customer: meta.customer,
    reversePath: meta.envelope.reversePath?.text ?? '',
    sizeBytes: meta.sizeBytes,
    acceptedAt: meta.acceptedAt,
    expiresAt: meta.expiresAt,
    location: inline ? 'inline' : 'file',
    bodyBytes: body.sizeBytes,
    meta: JSON.stringify({ ...meta, header: undefined } satisfies StoredMeta & { header: undefined }),
    headerBytes: meta.header.length,
    deliveries: recipients.map((recipient) => ({
      domain: recipient.forwardPath.domain,
      forwardPath: recipient.forwardPath.text,
      recipient: JSON.stringify(recipient),
    })),
  }
  return { row, octets: inline ? [meta.header, ...(body.inMemory ?? [])] : [meta.header] }
}

export const encodeState = (state: DeliveryState): string => JSON.stringify(state)

export const encodeEntry = ({ facts, ...rest }: JournalEntry): EventRow => ({
  ...rest,
  facts: JSON.stringify(facts),
})

/** The message of a row, or `null` when the row is damaged. */
export function decodeMessage(id: string, meta: string, header: Uint8Array): MessageMeta | null {
  const stored = parse(meta)
  return isStoredMeta(stored) && stored.id === id ? { ...stored, header } : null
}

export function decodeRecipient(json: string): Recipient | null {
  const stored = parse(json)
  return isRecipient(stored) ? stored : null
}

/** `json` is `null` before the first attempt. */
export function decodeState(json: string | null): DeliveryState | null {
  if (json === null) return FRESH_STATE
  const stored = parse(json)
  return isState(stored) ? stored : null
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
