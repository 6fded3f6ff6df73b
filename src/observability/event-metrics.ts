// Counts what is logged: most metrics are sums of events, so the rooms log and this turns it into figures.
// One place to read what moves which counter; a figure can never disagree with the log.
import type { EventFields, EventName } from './events.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

type AnyFields = Readonly<Record<string, string | number | boolean | null | undefined>>

/** A log that passes every event on and counts it first, whatever the level of `log` is. */
export function createMeasuredLog(log: Log, metrics: Metrics): Log {
  return {
    event<N extends EventName>(name: N, fields: EventFields<N>) {
      measure(metrics, name, fields)
      log.event(name, fields)
    },
  }
}

function measure(metrics: Metrics, name: EventName, fields: AnyFields): void {
  const { code, sizeBytes, tlsProtocol, queuedMs, kind } = fields
  switch (name) {
    case 'relay.fault':
      metrics.count('securetransport_relay_faults_total', {})
      break
    case 'submission.login':
      metrics.count('securetransport_submission_logins_total', { result: 'ok' })
      break
    case 'submission.login-refused':
      metrics.count('securetransport_submission_logins_total', { result: 'refused' })
      break
    case 'submission.tls-failed':
      metrics.count('securetransport_submission_tls_failures_total', {})
      break
    case 'submission.refused':
      metrics.count('securetransport_submission_refusals_total', {
        class: String(code ?? '').slice(0, 1),
      })
      break
    case 'submission.accepted':
      metrics.count('securetransport_submission_messages_total', {})
      observe(metrics, 'securetransport_submission_message_size_bytes', sizeBytes, 1)
      break
    case 'scanner.unavailable':
      metrics.count('securetransport_scanning_unavailable_total', {})
      break
    case 'delivery.delivered':
      metrics.count('securetransport_delivery_results_total', { result: 'delivered' })
      metrics.count('securetransport_delivery_transport_total', {
        tls: String(tlsProtocol ?? 'none'),
      })
      observe(metrics, 'securetransport_delivery_queued_seconds', queuedMs, 1000)
      break
    case 'delivery.deferred':
    case 'delivery.failed':
    case 'delivery.dropped':
    case 'delivery.fenced':
    case 'delivery.in-doubt':
      metrics.count('securetransport_delivery_results_total', { result: name.slice('delivery.'.length) })
      break
    case 'notification.queued':
      metrics.count('securetransport_notification_queued_total', { kind: String(kind) })
      break
    case 'notification.undeliverable':
      metrics.count('securetransport_notification_undeliverable_total', {})
      break
    case 'queue.accepting':
      metrics.set('securetransport_queue_accepting_boolean', {}, 1)
      break
    case 'queue.not-accepting':
      metrics.set('securetransport_queue_accepting_boolean', {}, 0)
      break
    default:
      break
  }
}

/** Observes a number; anything else is left out. `divisor` turns the field's unit into the metric's. */
function observe(
  metrics: Metrics,
  name: 'securetransport_submission_message_size_bytes' | 'securetransport_delivery_queued_seconds',
  value: AnyFields[string],
  divisor: number,
): void {
  if (typeof value === 'number' && Number.isFinite(value)) metrics.observe(name, {}, value / divisor)
}
