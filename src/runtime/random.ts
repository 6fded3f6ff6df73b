// Randomness as a dependency: tests hand in a repeatable one.
import { randomBytes } from 'node:crypto'

export interface Random {
  /** Cryptographically strong bytes. */
  bytes(length: number): Buffer
  /** Uniform in [0, 1); for jitter and shuffling, not for secrets. */
  fraction(): number
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => Math.random(),
}

/** A shuffled copy (Fisher–Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items]
  for (let last = copy.length - 1; last > 0; last--) {
    const pick = Math.floor(random.fraction() * (last + 1))
    const held = copy[last] as T
    copy[last] = copy[pick] as T
    copy[pick] = held
  }
  return copy
}
