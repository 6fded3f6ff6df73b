// How many transactions run to one destination at once. Begins low, grows by one with each success while it
// is the limit, halves with each trouble of the connection, never below one. Pure.

/** The window of one destination. */
export interface Window {
  readonly inUse: number
  readonly limit: number
  /** True and one more in use, or false. */
  enter(): boolean
  /** One less in use; `trouble` means that the hosts failed, not that a recipient was refused. */
  leave(result: 'success' | 'trouble' | 'neutral'): void
}

const START = 2

export function createWindow(limitMax: number): Window {
  let inUse = 0
  let limit = Math.min(START, limitMax)
  return {
    get inUse() {
      return inUse
    },
    get limit() {
      return limit
    },
    enter() {
      if (inUse >= limit) return false
      inUse++
      return true
    },
    leave(result) {
      const wasFull = inUse >= limit
      inUse--
      if (result === 'success' && wasFull) limit = Math.min(limitMax, limit + 1)
      if (result === 'trouble') limit = Math.max(1, Math.floor(limit / 2))
    },
  }
}
