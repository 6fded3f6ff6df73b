import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeasuredLog } from '../../src/observability/event-metrics.ts'
import { EVENTS, type EventName } from '../../src/observability/events.ts'
import { METRICS } from '../../src/observability/metric-catalogue.ts'
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts'

/** The lines of one family, comments included. */
const familyLines = (metrics: Metrics, name: string): string[] =>
  metrics
    .text()
    .split('\n')
    .filter(
      (line) =>
        line.startsWith(name) || line.startsWith(`# HELP ${name} `) || line.startsWith(`# TYPE ${name} `),
    )

test('O5: counters and gauges with closed labels, zeros from the start', () => {
  const metrics = createMetrics()
  metrics.count('securetransport_submission_logins_total', { result: 'ok' })
  metrics.count('securetransport_submission_logins_total', { result: 'ok' }, 2)
  assert.deepEqual(familyLines(metrics, 'securetransport_submission_logins_total'), [
    '# HELP securetransport_submission_logins_total Logins by result.',
    '# TYPE securetransport_submission_logins_total counter',
    'securetransport_submission_logins_total{result="ok"} 3',
    'securetransport_submission_logins_total{result="refused"} 0',
    'securetransport_submission_logins_total{result="other"} 0',
  ])
  metrics.set('securetransport_submission_sessions_count', {}, 17)
  assert.deepEqual(familyLines(metrics, 'securetransport_submission_sessions_count'), [
    '# HELP securetransport_submission_sessions_count Client connections that are open.',
    '# TYPE securetransport_submission_sessions_count gauge',
    'securetransport_submission_sessions_count 17',
  ])
})

test('O5: a label value outside its set never becomes a series', () => {
  const metrics = createMetrics()
  const before = metrics.text().split('\n').length
  metrics.count('securetransport_submission_logins_total', { result: 'mail@example.org"} 1\nx' })
  assert.equal(metrics.text().split('\n').length, before)
  assert.ok(metrics.text().includes('securetransport_submission_logins_total{result="other"} 1\n'))
})

test('O5: a histogram counts cumulatively, with sum and count', () => {
  const metrics = createMetrics()
  for (const value of [1, 4096, 4097, 1e12]) {
    metrics.observe('securetransport_submission_message_size_bytes', {}, value)
  }
  assert.deepEqual(familyLines(metrics, 'securetransport_submission_message_size_bytes'), [
    '# HELP securetransport_submission_message_size_bytes Sizes of accepted messages.',
    '# TYPE securetransport_submission_message_size_bytes histogram',
    'securetransport_submission_message_size_bytes_bucket{le="4096"} 2',
    'securetransport_submission_message_size_bytes_bucket{le="16384"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="65536"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="262144"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="1048576"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="4194304"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="16777216"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="67108864"} 3',
    'securetransport_submission_message_size_bytes_bucket{le="+Inf"} 4',
    'securetransport_submission_message_size_bytes_sum 1000000008194',
    'securetransport_submission_message_size_bytes_count 4',
  ])
})

test('O5: the output is well-formed for Prometheus, every family once', () => {
  const names = new Set<string>()
  for (const line of createMetrics().text().trimEnd().split('\n')) {
    if (line.startsWith('# TYPE ')) {
      const name = line.split(' ')[2] ?? ''
      assert.ok(!names.has(name), name)
      names.add(name)
    }
    assert.match(
      line,
      /^(?:# (?:HELP|TYPE) \S+ .+|[a-z_]+(?:\{[a-z]+="[^"\n\\]*"(?:,[a-z]+="[^"\n\\]*")*\})? [0-9.e+]+)$/,
    )
  }
  assert.equal(names.size, Object.keys(METRICS).length)
})

test('O5: names follow securetransport_<room>_<what>_<unit>, counters end in _total', () => {
  for (const [name, { kind }] of Object.entries(METRICS)) {
    assert.match(name, /^securetransport_[a-z]+_[a-z_]+_(?:total|seconds|bytes|count|boolean)$/)
    assert.equal(name.endsWith('_total'), kind === 'counter', name)
  }
})

const moves: readonly [EventName, Record<string, string | number>, string][] = [
  ['submission.login', {}, 'securetransport_submission_logins_total{result="ok"} 1'],
  ['submission.login-refused', {}, 'securetransport_submission_logins_total{result="refused"} 1'],
  ['submission.refused', { code: 550 }, 'securetransport_submission_refusals_total{class="5"} 1'],
  ['submission.accepted', { sizeBytes: 10 }, 'securetransport_submission_message_size_bytes_sum 10'],
  [
    'delivery.delivered',
    { tlsProtocol: 'TLSv1.3', queuedMs: 250 },
    'securetransport_delivery_transport_total{tls="TLSv1.3"} 1',
  ],
  ['delivery.delivered', { queuedMs: 250 }, 'securetransport_delivery_transport_total{tls="none"} 1'],
  ['delivery.delivered', { queuedMs: 250 }, 'securetransport_delivery_queued_seconds_sum 0.25'],
  ['delivery.in-doubt', {}, 'securetransport_delivery_results_total{result="in-doubt"} 1'],
  ['notification.queued', { kind: 'failed' }, 'securetransport_notification_queued_total{kind="failed"} 1'],
  ['queue.accepting', {}, 'securetransport_queue_accepting_boolean 1'],
  ['scanner.unavailable', {}, 'securetransport_scanning_unavailable_total 1'],
  ['relay.fault', {}, 'securetransport_relay_faults_total 1'],
]
for (const [name, fields, line] of moves) {
  test(`O5: event ${name} moves ${line}`, () => {
    const metrics = createMetrics()
    const logged: unknown[] = []
    createMeasuredLog({ event: (...event) => logged.push(event) }, metrics).event(name, fields)
    assert.ok(metrics.text().split('\n').includes(line), metrics.text())
    assert.deepEqual(logged, [[name, fields]])
  })
}

test('O5: every event can be measured without its fields', () => {
  const metrics = createMetrics()
  const log = createMeasuredLog({ event: () => {} }, metrics)
  for (const name of Object.keys(EVENTS)) if (isEventName(name)) log.event(name, {})
  assert.ok(!metrics.text().includes('NaN'))
})

const isEventName = (name: string): name is EventName => name in EVENTS
