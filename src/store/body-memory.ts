// Keeps the bodies of first attempts in memory, under one bound for all, so that the usual delivery never
// reads back what was just written. It counts octets; the octets themselves hang on `StoredBody.inMemory`.

export interface BodyMemory {
  /** Counts `octets` more for this message; `false` (and nothing more is counted for it) when they do not fit. */
  grow(messageId: string, octets: number): boolean
  /** The message has `claims` claims out: it stays until each was `given` back. */
  lend(messageId: string, claims: number): void
  /** One claim was settled or released. */
  give(messageId: string): void
  drop(messageId: string): void
  /** Octets counted now. */
  readonly octets: number
}

/** One body may take a sixteenth of the whole, so that memory does not grow with message size. */
const SHARE = 16

export function createBodyMemory(octetsMax: number): BodyMemory {
  const kept = new Map<string, { octets: number; claims: number }>()
  let total = 0
  const drop = (messageId: string): void => {
    total -= kept.get(messageId)?.octets ?? 0
    kept.delete(messageId)
  }
  return {
    grow(messageId, octets) {
      const entry = kept.get(messageId) ?? { octets: 0, claims: 0 }
      if (entry.octets + octets > octetsMax / SHARE || total + octets > octetsMax) {
        drop(messageId)
        return false
      }
      entry.octets += octets
      total += octets
      kept.set(messageId, entry)
      return true
    },
    lend(messageId, claims) {
      const entry = kept.get(messageId)
      if (entry) entry.claims = claims
    },
    give(messageId) {
      const entry = kept.get(messageId)
      if (entry && --entry.claims <= 0) drop(messageId)
    },
    drop,
    get octets() {
      return total
    },
  }
}
