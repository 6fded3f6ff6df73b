// Clocks for the lease of a node and for deadlines: one that can be stopped like a process that is paused, and
// one that runs faster than the machine's, so that a test need not wait for a deadline of 20 s.
import { type Clock, systemClock } from '../../src/runtime/clock.ts'

export interface PausableClock extends Clock {
  /** Timers fire no more, as in a process that got SIGSTOP; time goes on. */
  pause(): void
  /** What fell due meanwhile fires now. */
  resume(): void
}

export function createPausableClock(): PausableClock {
  let late: (() => void)[] | null = null
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    after: (delayMs, action, background) =>
      systemClock.after(delayMs, () => (late === null ? action() : void late.push(action)), background),
    pause() {
      late ??= []
    },
    resume() {
      const due = late ?? []
      late = null
      for (const action of due) action()
    },
  }
}

/** `factor` times as fast. */
export const createFastClock = (factor: number): Clock => ({
  now: () => systemClock.now() * factor,
  monotonic: () => systemClock.monotonic() * factor,
  after: (delayMs, action, background) => systemClock.after(delayMs / factor, action, background),
})
