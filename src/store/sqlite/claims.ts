// From rows to claims, and what a claim needs again when its result comes: the key of its message. What cannot
// be read is put aside and reported, and stops nobody; nobody but an operator, or the end of its lifetime, takes
// it out of the queue.
import type { JournalEntry } from '../../journal/entry.ts'
import type { Log } from '../../observability/log.ts'
import type { Claim, MessageMeta } from '../../queue/message.ts'
import type { MessageKey, Vault } from '../../queue/vault.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import { decodeRecipient, decodeState, encodeEntry, openMessage } from '../record.ts'
import type { Spool } from './spool.ts'
import type { ClaimedDelivery, Executor, StoredKey, StoredMessage } from './writer/protocol.ts'

export interface ClaimsDeps {
  readonly executor: Executor
  readonly vault: Vault
  readonly clock: Clock
  readonly log: Log
  readonly spool: Pick<Spool, 'remove'>
}

export interface Claims {
  /** Claims on what was found due; what cannot be read is put aside. */
  fromRows(messages: readonly StoredMessage[], deliveries: readonly ClaimedDelivery[]): Promise<Claim[]>
  /** Remembers the key for as long as claims on the message are held. */
  keep(message: MessageMeta, key: MessageKey): void
  /** The keys of these messages; `null` for one that is gone or cannot be opened. */
  keysOf(messages: readonly MessageMeta[]): Promise<(MessageKey | null)[]>
}

export function createClaims({ executor, vault, clock, log, spool }: ClaimsDeps): Claims {
  // Held by the claims themselves: gone with the last of them, without anybody counting.
  const keys = new WeakMap<MessageMeta, MessageKey>()

  const openKey = ({ id, masterKey, wrappedKey }: StoredKey): MessageKey | null => {
    try {
      return vault.openKey(id, masterKey, wrappedKey)
    } catch (error) {
      if (error instanceof Fault && error.code === 'spool-unreadable') return null
      throw error
    }
  }

  const putAside = async (
    stored: StoredMessage,
    delivery: ClaimedDelivery,
    reason: string,
  ): Promise<void> => {
    const { messageId, position, token, domain, order } = delivery
    const claim = { messageId, position, token }
    const entry: JournalEntry = {
      at: clock.now(),
      kind: order === 'deliver' ? 'held' : 'dropped',
      messageId,
      customer: stored.customer,
      reversePath: '',
      forwardPath: null,
      facts: { cause: 'damaged', detail: reason, index: position, domain },
    }
    const events = [encodeEntry(entry)]
    if (order === 'deliver') {
      await executor.request('hold', { claim, reason: 'damaged', events })
      log.event('queue.damaged', { message: messageId, reason })
      return
    }
    // An operator, or the end of its lifetime, ended what nobody can read: there is nobody to be told.
    const rows = [{ ...claim, events, notices: [], later: null }]
    const { emptied } = await executor.request('settle', { now: clock.now(), rows })
    await spool.remove(emptied)
    log.event('queue.damaged-dropped', { message: messageId, customer: stored.customer, domain, reason })
  }

  const fromMessage = async (
    stored: StoredMessage,
    deliveries: readonly ClaimedDelivery[],
  ): Promise<Claim[]> => {
    const message = openMessage(vault, stored)
    const body = { sizeBytes: stored.bodyBytes, inMemory: null, location: stored.location }
    const claims: Claim[] = []
    if (message.kind === 'opened') keys.set(message.meta, message.key)
    for (const delivery of deliveries) {
      if (message.kind === 'unreadable') {
        await putAside(stored, delivery, message.reason)
        continue
      }
      const { position: index, token, route, order } = delivery
      const recipient = decodeRecipient(message.key, index, delivery.recipient)
      const state = decodeState(message.key, index, delivery.state)
      if (recipient === null || state === null) await putAside(stored, delivery, 'delivery unreadable')
      else claims.push({ message: message.meta, body, index, recipient, state, token, route, order })
    }
    return claims
  }

  return {
    async fromRows(messages, deliveries) {
      const byMessage = Map.groupBy(deliveries, ({ messageId }) => messageId)
      const claims: Claim[] = []
      for (const stored of messages) {
        claims.push(...(await fromMessage(stored, byMessage.get(stored.id) ?? [])))
      }
      return claims
    },
    keep: (message, key) => void keys.set(message, key),
    async keysOf(messages) {
      const missing = messages.filter((message) => !keys.has(message)).map(({ id }) => id)
      const stored = missing.length === 0 ? [] : await executor.request('keys', { ids: missing })
      const byId = new Map(stored.map((key) => [key.id, key]))
      return messages.map((message) => {
        const found = byId.get(message.id)
        return keys.get(message) ?? (found === undefined ? null : openKey(found))
      })
    },
  }
}
