// A clock that a test moves. Timers fire in order of their time, each at its own moment, and what they set
// in turn fires too when it is due within the same advance.
import type { Clock } from '../../src/runtime/clock.ts'

export interface ManualClock extends Clock {
  /** Moves on by `ms`, running what falls due; between timers, promises settle. */
  advance(ms: number): Promise<void>
  /** Timers that wait: a test can check that none leaked. */
  readonly pending: number
}

/** Begins at `start` (epoch ms); `monotonic` begins at 0. */
export function createManualClock(start = Date.UTC(2026, 0, 5, 9, 0, 0)): ManualClock {
  let elapsed = 0
  let timers: { at: number; action: () => void }[] = []
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    after(delayMs, action) {
      const timer = { at: elapsed + Math.max(0, delayMs), action }
      timers.push(timer)
      return {
        cancel: () => {
          timers = timers.filter((other) => other !== timer)
        },
      }
    },
    async advance(ms) {
      const end = elapsed + ms
      await settle()
      for (;;) {
        const next = timers.toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > end) break
        timers = timers.filter((other) => other !== next)
        elapsed = Math.max(elapsed, next.at)
        next.action()
        await settle()
      }
      elapsed = end
      await settle()
    },
    get pending() {
      return timers.length
    },
  }
}
