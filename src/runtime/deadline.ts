// Deadlines: every await that can hang goes through here.
import type { Clock } from './clock.ts'
import { Fault } from './fault.ts'

/**
 * Waits for `work`, at most `limitMs`. On the deadline `onExpire` is called (to destroy what hangs) and the
 * result is a `Fault` with code `deadline-exceeded` that names `what`. A late result is ignored.
 */
export function withDeadline<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  work: Promise<T>,
  onExpire?: () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => {
      reject(new Fault('deadline-exceeded', `${what} took longer than ${limitMs} ms`))
      onExpire?.()
    })
    work.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
