// A process of its own that opens a queue in which very much waits and says what that costs: time to start, memory,
// claims, fresh mail. Usage: node bench/queue/waiting.ts DATA-DIRECTORY encrypted|clear. Prints one line of JSON.
import { measureLifeCycles, percentile } from './life-cycles.ts'
import { createBenchClock, openEmbedded } from './stores.ts'

export interface WaitingFigures {
  /** From nothing to a store that takes mail. */
  readonly startMs: number
  readonly memoryMbAfterStart: number
  readonly memoryMbPeak: number
  /** `claim(200, …)`. */
  readonly claims: number
  readonly claimMsP50: number
  readonly claimMsMax: number
  readonly claimMsWhenNothingIsDue: number
  /** Life cycles of fresh mail beside all that waits. */
  readonly freshPerSecond: number
  readonly freshEnqueueMsP99: number
}

const LATER_MS = 3_600_000
const BATCH = 200
const MB = 1024 ** 2

if (import.meta.main) {
  const [dataDirectory = '', encryption] = process.argv.slice(2)
  const clock = createBenchClock()
  const begun = performance.now()
  const store = await openEmbedded(dataDirectory, { encrypted: encryption === 'encrypted', clock })
  const startMs = performance.now() - begun
  const memoryMbAfterStart = process.memoryUsage.rss() / MB
  const times: number[] = []
  for (;;) {
    const asked = performance.now()
    const claims = await store.queue.claim(BATCH, new Set())
    times.push(performance.now() - asked)
    if (claims.length === 0) break
    const later = { entries: [], notices: [], nextAttemptAt: clock.now() + LATER_MS }
    await store.queue.settle(
      claims.map((claim) => ({ kind: 'later', claim, state: { ...claim.state, attempts: 1 }, ...later })),
    )
  }
  const claimMsWhenNothingIsDue = times.pop() ?? Number.NaN
  const fresh = await measureLifeCycles(store.queue, { messages: 5000, producers: 100, octets: 10_240 })
  const figures: WaitingFigures = {
    startMs,
    memoryMbAfterStart,
    memoryMbPeak: process.resourceUsage().maxRSS / 1024,
    claims: times.length,
    claimMsP50: percentile(times, 0.5),
    claimMsMax: percentile(times, 1),
    claimMsWhenNothingIsDue,
    freshPerSecond: fresh.perSecond,
    freshEnqueueMsP99: fresh.enqueueMsP99,
  }
  await store.stop()
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}
