// What the contract asks of a store under test, and the steps that its tests are made of.
import type { JournalEntry } from '../../src/journal/entry.ts'
import type { JournalStore } from '../../src/journal/store.ts'
import type { Claim, NewMessage } from '../../src/queue/message.ts'
import type { MasterKeyControl, QueueStore, Settlement } from '../../src/queue/store.ts'
import type { Vault } from '../../src/queue/vault.ts'
import type { ManualClock } from '../support/manual-clock.ts'
import { sampleEntry, sampleMeta, sampleRecipient } from './sample-message.ts'

/** A part of what is stored for a message, for a test that damages it. */
export type StoredPart = 'wrapped key' | 'envelope' | 'recipient' | 'state' | 'body'

/** One store under test. */
export interface ContractStore {
  readonly queue: QueueStore & MasterKeyControl
  readonly journal: JournalStore
  readonly clock: ManualClock
  readonly newId: () => string
  /** Ids of the bodies that lie outside of the database. */
  bodyFiles(): Promise<string[]>
  /** Names of the log events so far that tell of damage, oldest first. */
  damages(): string[]
  /** All that is stored, as raw octets: the whole database and every file. */
  storedOctets(): Promise<Buffer>
  /** Behind the back of the store: changes one bit of this part (of the first delivery) of the message. */
  damage(messageId: string, part: StoredPart): Promise<void>
  /** The same: cuts off the last octet of the body as it is stored. */
  truncateBody(messageId: string): Promise<void>
  /** The same: exchanges what is stored as the bodies of two messages, of equal size, both inline. */
  swapBodies(one: string, other: string): Promise<void>
  /** Ends this run without giving claims back, and begins the next on the same data, with this vault if given. */
  restart(vault?: Vault): Promise<ContractStore>
  /** Ends the store and removes all that it stored. */
  dispose(): Promise<void>
}

/** Opens a store without any data, started. */
export type OpenStore = (vault: Vault) => Promise<ContractStore>

const CHUNK = 64 * 1024

/** `store` is asked anew at each step, because a test may restart it. */
export function createSteps(store: () => ContractStore) {
  /** A message with its body written; one chunk of `content` at a time as a socket would give it. */
  const compose = async (recipients: readonly string[], content: Uint8Array): Promise<NewMessage> => {
    const id = store().newId()
    const writer = store().queue.beginBody(id)
    for (let from = 0; from < content.length; from += CHUNK) {
      const wait = writer.write(content.subarray(from, from + CHUNK))
      if (wait !== null) await wait
    }
    const body = await writer.finish()
    const meta = sampleMeta(id, store().clock.now(), body.sizeBytes)
    return { meta, recipients: recipients.map(sampleRecipient), body }
  }
  const accepted = ({ meta }: NewMessage) => [sampleEntry(meta.id, 'accepted', meta.acceptedAt)]
  const enqueue = async (
    recipients: readonly string[],
    {
      lease = false,
      content = Buffer.from('\r\nGuten Tag\r\n'),
    }: { lease?: boolean; content?: Uint8Array } = {},
  ): Promise<{ message: NewMessage; claims: Claim[] }> => {
    const message = await compose(recipients, content)
    return { message, claims: await store().queue.enqueue(message, accepted(message), { lease }) }
  }
  const read = async ({ message, body }: Claim): Promise<Buffer> =>
    Buffer.concat(await Array.fromAsync(store().queue.readBody(message, body)))
  const done = (
    claim: Claim,
    entries: readonly JournalEntry[] = [],
    notices: readonly NewMessage[] = [],
  ): Settlement => ({ kind: 'done', claim, entries, notices })
  const later = (claim: Claim, nextAttemptAt: number, state = claim.state): Settlement => ({
    kind: 'later',
    claim,
    entries: [],
    notices: [],
    state,
    nextAttemptAt,
  })
  const addresses = (claims: readonly Claim[]): string[] =>
    claims.map((claim) => claim.recipient.forwardPath.text)

  return { compose, accepted, enqueue, read, done, later, addresses }
}
