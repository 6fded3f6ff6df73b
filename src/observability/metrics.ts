// A small registry of counters, gauges and histograms with Prometheus' text output (exposition format
// 0.0.4). What can be counted stands in `metric-catalogue.ts`; the number of series is therefore fixed and
// all of them are shown from the start, zeros included, so that rates work on the first event.
import { METRICS, type MetricLabels, type MetricName, type MetricNameOf } from './metric-catalogue.ts'

export interface Metrics {
  /** Adds `amount` (default 1) to a counter. */
  count<N extends MetricNameOf<'counter'>>(name: N, labels: MetricLabels<N>, amount?: number): void
  /** Sets a gauge. */
  set<N extends MetricNameOf<'gauge'>>(name: N, labels: MetricLabels<N>, value: number): void
  /** Adds one observation to a histogram, in the unit that ends its name. */
  observe<N extends MetricNameOf<'histogram'>>(name: N, labels: MetricLabels<N>, value: number): void
  /** All series as text for Prometheus. */
  text(): string
}

/** Content type of `text()`. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Series {
  value: number
  /** Observations at or below each bucket's bound; empty for what is no histogram. */
  readonly buckets: number[]
  observations: number
}

interface Family {
  readonly name: MetricName
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: Readonly<Record<string, readonly string[]>>
  readonly bounds: readonly number[]
  /** By label text, e.g. `state="held"`. */
  readonly series: Map<string, Series>
}

const OTHER = 'other'

export function createMetrics(): Metrics {
  const families = new Map<MetricName, Family>()
  for (const [name, definition] of Object.entries(METRICS)) {
    if (isMetricName(name)) families.set(name, family(name, definition))
  }

  const seriesOf = (name: MetricName, labels: Readonly<Record<string, string>>): Series | undefined => {
    const found = families.get(name)
    return found?.series.get(labelText(found, labels))
  }

  return {
    count(name, labels, amount = 1) {
      const series = seriesOf(name, labels)
      if (series !== undefined && amount >= 0) series.value += amount
    },
    set(name, labels, value) {
      const series = seriesOf(name, labels)
      if (series !== undefined) series.value = value
    },
    observe(name, labels, value) {
      const series = seriesOf(name, labels)
      const bounds = families.get(name)?.bounds ?? []
      if (series === undefined) return
      series.value += value
      series.observations++
      for (const [index, bound] of bounds.entries()) {
        if (value <= bound) series.buckets[index] = (series.buckets[index] ?? 0) + 1
      }
    },
    text: () => [...families.values()].map(familyText).join(''),
  }
}

const isMetricName = (name: string): name is MetricName => name in METRICS

function family(
  name: MetricName,
  definition: Pick<Family, 'kind' | 'help' | 'labels'> & { readonly buckets?: readonly number[] },
): Family {
  const { kind, help, labels, buckets: bounds = [] } = definition
  const series = new Map<string, Series>()
  for (const text of combinations(labels)) {
    series.set(text, { value: 0, buckets: bounds.map(() => 0), observations: 0 })
  }
  return { name, kind, help, labels, bounds, series }
}

/** The label texts of every combination of values, `other` included. */
function combinations(labels: Family['labels']): string[] {
  let texts = ['']
  for (const [label, values] of Object.entries(labels)) {
    texts = texts.flatMap((text) =>
      [...values, OTHER].map((value) => `${text}${text && ','}${label}="${value}"`),
    )
  }
  return texts
}

const labelText = (of: Family, labels: Readonly<Record<string, string>>): string =>
  Object.entries(of.labels)
    .map(([label, values]) => {
      const value = labels[label] ?? OTHER
      return `${label}="${values.includes(value) ? value : OTHER}"`
    })
    .join(',')

function familyText(of: Family): string {
  const lines = [`# HELP ${of.name} ${of.help}`, `# TYPE ${of.name} ${of.kind}`]
  for (const [labels, series] of of.series) {
    const braced = labels === '' ? '' : `{${labels}}`
    if (of.kind !== 'histogram') {
      lines.push(`${of.name}${braced} ${series.value}`)
      continue
    }
    const prefix = labels === '' ? '' : `${labels},`
    for (const [index, bound] of of.bounds.entries()) {
      lines.push(`${of.name}_bucket{${prefix}le="${bound}"} ${series.buckets[index] ?? 0}`)
    }
    lines.push(`${of.name}_bucket{${prefix}le="+Inf"} ${series.observations}`)
    lines.push(`${of.name}_sum${braced} ${series.value}`)
    lines.push(`${of.name}_count${braced} ${series.observations}`)
  }
  return `${lines.join('\n')}\n`
}
