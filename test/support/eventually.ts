// Waiting for something outside this process (a file, a log line of a daemon) that gives no event to await.
import { setTimeout as delay } from 'node:timers/promises'

const LOOK_EVERY_MS = 20

/**
 * Looks until `probe` gives something other than `null`, and returns that. After `limitMs` it throws, naming
 * `what` and, when given, what `explain` says (the log of the daemon that did not do it).
 */
export async function eventually<T>(
  what: string,
  limitMs: number,
  probe: () => Promise<T | null> | T | null,
  explain?: () => Promise<string> | string,
): Promise<T> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const found = await probe()
    if (found !== null) return found
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${limitMs} ms${explain ? `\n${await explain()}` : ''}`)
    }
    await delay(LOOK_EVERY_MS)
  }
}
