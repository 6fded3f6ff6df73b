// When to try again (T7, T1). Pauses double from `first` to `max` and vary by 20 %, so that what failed
// together does not come back together. While no encrypted path is found the pause is short instead: the
// sender is to learn within the TLS retry window whether it was a hiccup.
import type { Random } from '../runtime/random.ts'

/** Pauses in ms. */
export interface RetryPauses {
  readonly first: number
  readonly max: number
}

export interface AttemptHistory {
  /** Attempts made so far, at least 1. */
  readonly attempts: number
  /** Epoch ms. */
  readonly now: number
  readonly expiresAt: number
  /** The trouble is that no encrypted path was found. */
  readonly noTls: boolean
}

const JITTER = 0.2
/** Three to five minutes with jitter: three more attempts within the window of 15 min. */
const NO_TLS_PAUSE_MS = 4 * 60_000

/**
 * When to try again, in epoch ms: after `now`, and never later than `expiresAt` unless that has passed, in
 * which case `now` comes back. RFC 5321 §4.5.4.1.
 */
export function nextAttemptAt(history: AttemptHistory, random: Random, pauses: RetryPauses): number {
  const { attempts, now, expiresAt, noTls } = history
  const grown = Math.min(pauses.max, pauses.first * 2 ** Math.max(0, attempts - 1))
  const pause = noTls ? Math.min(NO_TLS_PAUSE_MS, pauses.max) : grown
  const varied = Math.round(pause * (1 - JITTER + 2 * JITTER * random.fraction()))
  return Math.min(now + varied, Math.max(now, expiresAt))
}
