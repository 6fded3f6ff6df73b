// The claims that this process has in hand, and under which run they were given. What the database says we own
// but is not in here was claimed by a transaction whose answer never came: it goes back (doubts.ts).
import type { Claim } from '../../../queue/message.ts'

/** Identity of a delivery and the token of the claim on it. */
export interface ClaimKey {
  readonly messageId: string
  readonly position: number
  readonly token: number
}

export interface Ledger {
  /** Before the commit that makes it ours is sent, or as soon as its answer came. */
  add(keys: readonly ClaimKey[], incarnation: number): void
  remove(keys: readonly ClaimKey[]): void
  has(key: ClaimKey): boolean
  /** All of them were given to `incarnation` and are neither settled nor released. */
  holds(keys: readonly ClaimKey[], incarnation: number): boolean
  /** Some claim in hand was given to an earlier run of ours, which others have taken for dead. */
  hasStrayed(incarnation: number): boolean
  readonly size: number
}

export const keyOf = ({ message, index, token }: Claim): ClaimKey => ({
  messageId: message.id,
  position: index,
  token,
})

const textOf = ({ messageId, position, token }: ClaimKey): string => `${messageId}:${position}:${token}`

export function createLedger(): Ledger {
  const held = new Map<string, number>()
  return {
    add(keys, incarnation) {
      for (const key of keys) held.set(textOf(key), incarnation)
    },
    remove(keys) {
      for (const key of keys) held.delete(textOf(key))
    },
    has: (key) => held.has(textOf(key)),
    holds: (keys, incarnation) => keys.every((key) => held.get(textOf(key)) === incarnation),
    hasStrayed(incarnation) {
      for (const owner of held.values()) if (owner !== incarnation) return true
      return false
    },
    get size() {
      return held.size
    },
  }
}
