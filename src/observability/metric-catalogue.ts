// The catalogue of metrics: name, kind, help, labels. `docs/metrics.md` is generated from here. Label values
// come from the closed sets that stand here, never a domain, an address or a reply text; what is not in its
// set counts as `other`. Names: `securetransport_<room>_<what>_<unit>`, counters end in `_total`.

interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** One sentence for operators. */
  readonly help: string
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** Upper bounds of a histogram, ascending, without +Inf. */
  readonly buckets?: readonly number[]
}

const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]
const OCTETS = [4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]
const TLS_PROTOCOLS = ['TLSv1.2', 'TLSv1.3', 'none'] as const

export const METRICS = {
  securetransport_relay_start_time_seconds: {
    kind: 'gauge',
    help: 'When this process began to accept mail, in seconds since 1970.',
    labels: {},
  },
  securetransport_relay_memory_bytes: {
    kind: 'gauge',
    help: 'Resident memory of this process.',
    labels: {},
  },
  securetransport_relay_faults_total: {
    kind: 'counter',
    help: 'Things that must not happen; each has an incident id in the log.',
    labels: {},
  },
  securetransport_submission_sessions_count: {
    kind: 'gauge',
    help: 'Client connections that are open.',
    labels: {},
  },
  securetransport_submission_logins_total: {
    kind: 'counter',
    help: 'Logins by result.',
    labels: { result: ['ok', 'refused'] },
  },
  securetransport_submission_messages_total: {
    kind: 'counter',
    help: 'Messages that were accepted and acknowledged.',
    labels: {},
  },
  securetransport_submission_message_size_bytes: {
    kind: 'histogram',
    help: 'Sizes of accepted messages.',
    labels: {},
    buckets: OCTETS,
  },
  securetransport_submission_refusals_total: {
    kind: 'counter',
    help: 'Commands and messages that were refused, by the first digit of the reply.',
    labels: { class: ['4', '5'] },
  },
  securetransport_submission_tls_failures_total: {
    kind: 'counter',
    help: 'TLS handshakes with clients that failed.',
    labels: {},
  },
  securetransport_scanning_unavailable_total: {
    kind: 'counter',
    help: 'Scans without a verdict; the sender got 451.',
    labels: {},
  },
  securetransport_queue_deliveries_count: {
    kind: 'gauge',
    help: 'Deliveries in the queue by state.',
    labels: { state: ['waiting', 'active', 'held'] },
  },
  securetransport_queue_accepting_boolean: {
    kind: 'gauge',
    help: '1 while the store takes new mail, 0 when submission answers 4xx.',
    labels: {},
  },
  securetransport_delivery_results_total: {
    kind: 'counter',
    help: 'Results of deliveries.',
    labels: { result: ['delivered', 'deferred', 'failed', 'dropped', 'fenced', 'in-doubt'] },
  },
  securetransport_delivery_transport_total: {
    kind: 'counter',
    help: 'Delivered mail by how it travelled; `none` is cleartext with a permit.',
    labels: { tls: TLS_PROTOCOLS },
  },
  securetransport_delivery_queued_seconds: {
    kind: 'histogram',
    help: "Time from acceptance to the next hop's reply, of delivered mail.",
    labels: {},
    buckets: SECONDS,
  },
  securetransport_notification_queued_total: {
    kind: 'counter',
    help: 'Notifications to senders.',
    labels: { kind: ['failed', 'delayed', 'relayed', 'delay-over'] },
  },
  securetransport_notification_undeliverable_total: {
    kind: 'counter',
    help: 'Notifications that could not be delivered: somebody does not learn of a failure.',
    labels: {},
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricName = keyof typeof METRICS

/** Names of the metrics of one kind. */
export type MetricNameOf<K extends MetricDefinition['kind']> = {
  [N in MetricName]: (typeof METRICS)[N]['kind'] extends K ? N : never
}[MetricName]

/** The labels of one metric, all of them. */
export type MetricLabels<N extends MetricName> = {
  readonly [L in keyof (typeof METRICS)[N]['labels']]: string
}
