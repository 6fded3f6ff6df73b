// When the gateway is killed: at the n-th occurrence of something that the clients or the recipient see, at some
// time, or while it starts, in turn. A plan follows from the chance that it is given: a run can be repeated.

/** What can be seen from outside in the life of one mail, in its order. */
export const MOMENTS = [
  'content', // the client has sent half of a message
  'dot', // the client has sent the final dot and waits
  'acknowledged', // the client has read the 250
  'relayed', // the recipient has the first octets of a message
  'taken', // the recipient has the final dot and has not answered
  'answered', // the recipient's reply was given to the network
] as const

export type Moment = (typeof MOMENTS)[number]

/**
 * `stalled`: the disk hangs while the load goes on; `start`: before the gateway says that it accepts mail;
 * `time`: whatever is going on then.
 */
export type KillMoment = Moment | 'stalled' | 'time' | 'start'

/** In this order, over and over. */
export const KINDS: readonly KillMoment[] = [...MOMENTS, 'stalled', 'time', 'start']

export interface KillPlan {
  readonly moment: KillMoment
  /** What is waited for after the start, and the how-manieth of its kind; `null`: only for the time. */
  readonly awaited: { readonly moment: Moment; readonly count: number } | null
  /** Between what is awaited (else the launch) and the kill. */
  readonly delayMs: number
}

const COUNT_MAX = 60
const DELAY_MAX_MS = 8
const STALL_MAX_MS = 300
const START_MAX_MS = 500
const TIME_MAX_MS = 800
/** A moment that does not come is not waited for any longer. */
const ROUND_MAX_MS = 4000

/** @param round from 0; the first never comes at `start`: there is nothing to recover yet */
export function planKill(round: number, random: () => number): KillPlan {
  const moment = KINDS[round % KINDS.length] ?? 'time'
  if (moment === 'start') return { moment, awaited: null, delayMs: random() * START_MAX_MS }
  if (moment === 'time') return { moment, awaited: null, delayMs: random() * TIME_MAX_MS }
  const count = 1 + Math.floor(random() ** 2 * COUNT_MAX)
  if (moment === 'stalled') {
    return { moment, awaited: { moment: 'acknowledged', count }, delayMs: random() * STALL_MAX_MS }
  }
  // Half of these kills come in the same turn of the event loop.
  const delayMs = random() < 0.5 ? 0 : random() * DELAY_MAX_MS
  return { moment, awaited: { moment, count }, delayMs }
}

export interface Trap {
  /** Springs once: when what is awaited has come, or the round has lasted too long; at once without it. */
  arm(awaited: KillPlan['awaited'], spring: () => void): void
  readonly note: (moment: Moment) => void
}

export function createTrap(): Trap {
  let awaited: Moment | null = null
  let left = 0
  let spring: () => void = () => undefined
  let timer: NodeJS.Timeout | undefined
  const go = (): void => {
    awaited = null
    clearTimeout(timer)
    spring()
  }
  return {
    arm(plan, what) {
      spring = what
      if (plan === null) return go()
      awaited = plan.moment
      left = plan.count
      timer = setTimeout(go, ROUND_MAX_MS)
    },
    note(seen) {
      if (seen === awaited && --left === 0) go()
    },
  }
}
