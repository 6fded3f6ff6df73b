// One measurement: a fresh server and a fresh sink, a warm-up, then the load; figures for what happened between the
// first connection of the load and the arrival of its last mail at the sink.
import { setTimeout as delay } from 'node:timers/promises'
import { cpuMs, watchMemory } from './process-tree.ts'
import { openStage, SETTLE_MS, type StageSettings } from './stage.ts'
import type { Amount, Workload } from './workloads.ts'

/** What `--json` shows of one server under one workload. */
export interface Figures {
  readonly cpuMsPerMessage: number
  readonly acceptedPerSecond: number
  readonly deliveredPerSecond: number
  readonly peakMemoryMb: number
}

export interface Measurement {
  readonly figures: Figures
  readonly mails: number
  /** Mails handed over per connection to the sink, and how many handshakes resumed a session. */
  readonly connections: number
  readonly resumed: number
}

export interface RoundSettings extends StageSettings {
  readonly workload: Workload
  readonly amount: Amount
}

export async function measure(settings: RoundSettings): Promise<Measurement> {
  const { workload, amount } = settings
  await using stage = await openStage(settings)
  await stage.run(workload, warmUp(amount, workload))
  await delay(SETTLE_MS)
  const memory = watchMemory(stage.roots)
  const before = cpuMs(stage.roots)
  const { loaded, count } = await stage.run(workload, amount)
  await delay(SETTLE_MS)
  const used = cpuMs(stage.roots) - before
  const mails = loaded.acceptedAt.length
  return {
    mails,
    connections: count.connections,
    resumed: count.resumed,
    figures: {
      cpuMsPerMessage: used / mails,
      acceptedPerSecond: perSecond(mails, loaded.startedAt, loaded.acceptedAt.at(-1)),
      deliveredPerSecond: perSecond(mails, loaded.startedAt, count.lastAt),
      peakMemoryMb: memory.stop(),
    },
  }
}

/** A quarter of the load: code compiled, connections open, caches filled. */
function warmUp(amount: Amount, workload: Workload): Amount {
  return amount.kind === 'seconds'
    ? { kind: 'seconds', seconds: Math.max(1, amount.seconds / 4) }
    : { kind: 'mails', mails: Math.max(workload.clients, Math.round(amount.mails / 4)) }
}

function perSecond(mails: number, fromMs: number, toMs = fromMs): number {
  return mails / Math.max(0.001, (toMs - fromMs) / 1000)
}
