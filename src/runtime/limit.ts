// Bounds: a semaphore whose waiting line is bounded too.

export interface Semaphore {
  /** Resolves to a release function, or `null` at once when the waiting line is full. */
  acquire(): Promise<(() => void) | null>
  /** Units in use now. */
  readonly inUse: number
}

/** At most `unitsMax` at once and `waitingMax` in line; first come, first served. */
export function createSemaphore(unitsMax: number, waitingMax: number): Semaphore {
  let inUse = 0
  const waiting: ((release: () => void) => void)[] = []
  const makeRelease = (): (() => void) => {
    let released = false
    return () => {
      if (released) return
      released = true
      const next = waiting.shift()
      if (next) next(makeRelease())
      else inUse--
    }
  }
  return {
    acquire() {
      if (inUse < unitsMax) {
        inUse++
        return Promise.resolve(makeRelease())
      }
      if (waiting.length >= waitingMax) return Promise.resolve(null)
      return new Promise((resolve) => waiting.push(resolve))
    },
    get inUse() {
      return inUse
    },
  }
}
