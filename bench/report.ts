// From single measurements to what is printed and written: medians over the rounds, ratios to the peer. Pure.
import type { Figures } from './round.ts'
import type { Workload, WorkloadName } from './workloads.ts'

/** One element of the array that `--json` writes; `peer` and `ratio` are null without `--against`. */
export interface Comparison {
  readonly workload: WorkloadName
  readonly ours: Figures
  readonly peer: Figures | null
  /** Ours divided by the peer's: the median of the rounds' own ratios, since both sides of a round ran alike. */
  readonly ratio: Figures | null
}

const KEYS = ['cpuMsPerMessage', 'acceptedPerSecond', 'deliveredPerSecond', 'peakMemoryMb'] as const

/** Left column of the targets: path without scanner and DKIM, against Postfix tuned. */
const CPU_RATIO_MAX: Readonly<Record<WorkloadName, number>> = { W1: 0.4, W2: 0.2, W3: 0.4 }
const RATE_RATIO_MIN = 2

/** `ours` and `peer` in the order of the rounds; `peer` is empty without a peer. */
export function compare(
  workload: WorkloadName,
  ours: readonly Figures[],
  peer: readonly Figures[],
): Comparison {
  const ratios = ours.flatMap((figures, round) => {
    const other = peer[round]
    return other === undefined ? [] : [combine((key) => figures[key] / other[key])]
  })
  return {
    workload,
    ours: medians(ours),
    peer: peer.length === 0 ? null : medians(peer),
    ratio: ratios.length === 0 ? null : medians(ratios),
  }
}

function medians(all: readonly Figures[]): Figures {
  return combine((key) => median(all.map((figures) => figures[key])))
}

function combine(value: (key: keyof Figures) => number): Figures {
  const [cpuMsPerMessage = 0, acceptedPerSecond = 0, deliveredPerSecond = 0, peakMemoryMb = 0] =
    KEYS.map(value)
  return { cpuMsPerMessage, acceptedPerSecond, deliveredPerSecond, peakMemoryMb }
}

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
  return (upper + lower) / 2
}

/** One line of figures. */
export function figuresText({
  cpuMsPerMessage,
  acceptedPerSecond,
  deliveredPerSecond,
  peakMemoryMb,
}: Figures): string {
  return [
    `${cpuMsPerMessage.toFixed(2).padStart(7)} CPU-ms/message`,
    `${acceptedPerSecond.toFixed(0).padStart(6)} accepted/s`,
    `${deliveredPerSecond.toFixed(0).padStart(6)} delivered/s`,
    `${peakMemoryMb.toFixed(0).padStart(5)} MB`,
  ].join('  ')
}

/** The block for one workload; with a ratio also whether the targets are met. */
export function comparisonText(workload: Workload, names: readonly string[], comparison: Comparison): string {
  const { ours, peer, ratio } = comparison
  const label = (name: string): string => `  ${name.padEnd(10)}`
  const lines = [
    `${workload.name}: ${workload.title}, ${workload.clients} clients`,
    label(names[0] ?? '') + figuresText(ours),
  ]
  if (peer !== null) lines.push(label(names[1] ?? '') + figuresText(peer))
  if (ratio !== null) {
    const met = (isMet: boolean): string => (isMet ? 'met' : 'NOT met')
    const cpuMax = CPU_RATIO_MAX[comparison.workload]
    lines.push(
      `${label('ratio')}CPU ${ratio.cpuMsPerMessage.toFixed(2)} (target ≤ ${cpuMax}: ${met(ratio.cpuMsPerMessage <= cpuMax)})` +
        `  accepted ${ratio.acceptedPerSecond.toFixed(2)} (≥ ${RATE_RATIO_MIN}: ${met(ratio.acceptedPerSecond >= RATE_RATIO_MIN)})` +
        `  delivered ${ratio.deliveredPerSecond.toFixed(2)} (≥ ${RATE_RATIO_MIN}: ${met(ratio.deliveredPerSecond >= RATE_RATIO_MIN)})` +
        `  memory ${ratio.peakMemoryMb.toFixed(2)}`,
    )
  }
  return lines.join('\n')
}
