// Time as a dependency. Nothing outside this file (and the listed adapters) reads the ambient clock or
// sets a timer, so that a test can move a whole gateway through 120 h in a second.

/** A timer that was set; cancelling it twice does no harm. */
export interface Timer {
  cancel(): void
}

/** The clock a unit is handed. `systemClock` in production, a manual one in tests. */
export interface Clock {
  /** Wall clock, epoch ms. May jump; never use it to measure a duration. */
  now(): number
  /** Monotonic clock, ms from an arbitrary origin; for durations and self-fencing. */
  monotonic(): number
  /** Calls `action` once after `delayMs`. The timer does not keep the process alive when `background`. */
  after(delayMs: number, action: () => void, background?: boolean): Timer
}

/** Longest delay that Node's timers take; longer ones are cut and the caller looks again. */
const DELAY_MAX_MS = 2 ** 31 - 1

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, action, background = false) {
    const timer = setTimeout(action, Math.min(Math.max(0, delayMs), DELAY_MAX_MS))
    if (background) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Resolves after `delayMs`, or at once when `signal` aborts (it never rejects: look at the signal). */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.after(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
