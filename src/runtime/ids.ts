// Ids that sort by time: 48 bits of epoch ms and 40 random bits in lower-case Crockford base 32
// (no i, l, o, u), 18 characters. Short enough to be read over the telephone in two halves.
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_DIGITS = 10
const RANDOM_DIGITS = 8

/** Makes ids for one process. Two calls in the same ms differ by 40 random bits. */
export function createIdSource(clock: Clock, random: Random): () => string {
  return () => {
    let time = clock.now()
    let text = ''
    for (let digit = 0; digit < TIME_DIGITS; digit++) {
      text = ALPHABET.charAt(time % 32) + text
      time = Math.floor(time / 32)
    }
    const bytes = random.bytes(RANDOM_DIGITS)
    for (let digit = 0; digit < RANDOM_DIGITS; digit++) text += ALPHABET.charAt((bytes[digit] ?? 0) % 32)
    return text
  }
}

/** True when `text` has the shape of an id made here. */
export const isId = (text: string): boolean => /^[0-9a-hjkmnp-tv-z]{18}$/.test(text)

/** Epoch ms of the moment when `id` was made (`isId` holds for it). */
export function idTime(id: string): number {
  let time = 0
  for (const digit of id.slice(0, TIME_DIGITS)) time = time * 32 + ALPHABET.indexOf(digit)
  return time
}
