// Hands settlements to the queue in groups: what piles up while one commit runs goes into the next (group
// commit, performance.md). A result is never dropped while the store is away: it is tried again until it is
// stored, because a lost result would send the mail twice. Starts nothing new by itself.
import type { Log } from '../../observability/log.ts'
import type { QueueStore, Settlement } from '../../queue/store.ts'
import { type Clock, pause } from '../../runtime/clock.ts'
import { Fault, faultText } from '../../runtime/fault.ts'

export interface Settler {
  /** Takes results over. */
  add(settlements: readonly Settlement[]): void
  /** Results that are not stored yet: the worker starts nothing new while there are many. */
  readonly backlog: number
  /** Resolves when everything is stored, or the settler gave up. */
  idle(): Promise<void>
  /** Ends repetition: what cannot be stored at the next try stays claimed and is found again at the next start. */
  stop(): void
}

const GROUP_MAX = 500
const RETRY_FIRST_MS = 200
const RETRY_MAX_MS = 10_000

/** @param onStored called after each group with those that were stored */
export function createSettler(
  deps: { queue: Pick<QueueStore, 'settle'>; clock: Clock; log: Log },
  onStored: (settlements: readonly Settlement[]) => void,
): Settler {
  const { queue, clock, log } = deps
  const stopping = new AbortController()
  let waiting: Settlement[] = []
  let underWay = 0
  let running: Promise<void> | null = null

  const store = async (group: readonly Settlement[]): Promise<void> => {
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(RETRY_MAX_MS, delayMs * 2)) {
      try {
        const results = await queue.settle(group)
        for (const [position, result] of results.entries()) {
          const claim = group[position]?.claim
          if (result !== 'fenced' || claim === undefined) continue
          const forwardPath = claim.recipient.forwardPath.text
          log.event('delivery.fenced', { message: claim.message.id, forwardPath, stage: 'result' })
        }
        onStored(group)
        return
      } catch (thrown) {
        const code = thrown instanceof Fault ? thrown.code : 'internal'
        log.event('relay.fault', { code, reason: faultText(thrown), where: 'delivery.settle' })
        if (stopping.signal.aborted) return
        await pause(clock, delayMs, stopping.signal)
      }
    }
  }
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting.slice(0, GROUP_MAX)
      waiting = waiting.slice(GROUP_MAX)
      underWay = group.length
      await store(group)
      underWay = 0
    }
    running = null
  }
  return {
    add(settlements) {
      waiting.push(...settlements)
      running ??= run()
    },
    get backlog() {
      return waiting.length + underWay
    },
    idle: () => running ?? Promise.resolve(),
    stop: () => stopping.abort(),
  }
}
