// The catalogue of log events: stable name, level, what it means. Free-text logging does not exist; field
// types hold no subject, body, password or header. `docs/events.md` is generated from here.

type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>

interface EventDefinition {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** One sentence for operators. */
  readonly sentence: string
  /** Names of the fields that may stand in the line. */
  readonly fields: readonly string[]
}

export const EVENTS = {
  'relay.started': {
    level: 'info',
    sentence: 'The gateway accepts mail.',
    fields: ['version', 'hostname', 'listeners', 'http'],
  },
  'relay.draining': {
    level: 'info',
    sentence: 'No new mail is taken; running work is finished.',
    fields: ['signal'],
  },
  'relay.stopped': { level: 'info', sentence: 'Everything is closed.', fields: [] },
  'relay.fault': {
    level: 'error',
    sentence: 'Something that must not happen did; the incident id stands in the reply.',
    fields: ['incident', 'code', 'reason', 'where'],
  },
  'submission.session-opened': {
    level: 'debug',
    sentence: 'A client connected.',
    fields: ['session', 'client', 'listener'],
  },
  'submission.session-closed': {
    level: 'debug',
    sentence: 'A client left.',
    fields: ['session', 'messages', 'durationMs'],
  },
  'submission.tls-failed': {
    level: 'info',
    sentence: 'A TLS handshake with a client failed.',
    fields: ['session', 'client', 'reason'],
  },
  'submission.login': {
    level: 'info',
    sentence: 'A login succeeded.',
    fields: ['session', 'client', 'login', 'customer', 'mechanism', 'tlsProtocol', 'tlsCipher'],
  },
  'submission.login-refused': {
    level: 'warn',
    sentence: 'A login was refused.',
    fields: ['session', 'client', 'login', 'mechanism', 'reason'],
  },
  'submission.refused': {
    level: 'info',
    sentence: 'A command or message was refused in the dialogue.',
    fields: [
      'session',
      'client',
      'customer',
      'replyId',
      'code',
      'status',
      'stage',
      'reversePath',
      'forwardPath',
      'reason',
    ],
  },
  'submission.accepted': {
    level: 'info',
    sentence: 'A message is on stable storage and was acknowledged.',
    fields: [
      'session',
      'message',
      'customer',
      'login',
      'reversePath',
      'recipients',
      'sizeBytes',
      'permit',
      'scan',
    ],
  },
  'scanner.unavailable': {
    level: 'error',
    sentence: 'The virus scanner gave no verdict; mail is answered with 451.',
    fields: ['target', 'reason'],
  },
  'scanner.passed-over': {
    level: 'warn',
    sentence: 'A configured scanner did not take the connection; the next one is asked.',
    fields: ['target', 'reason'],
  },
  'scanner.self-test': {
    level: 'info',
    sentence: 'The scanner found the EICAR test string.',
    fields: ['target'],
  },
  'scanner.self-test-failed': {
    level: 'error',
    sentence: 'The scanner did not find the EICAR test string.',
    fields: ['target', 'reason'],
  },
  'delivery.delivered': {
    level: 'info',
    sentence: 'The next hop took responsibility for a delivery.',
    fields: [
      'message',
      'customer',
      'reversePath',
      'forwardPath',
      'mxHost',
      'address',
      'reply',
      'transport',
      'tlsProtocol',
      'tlsCipher',
      'tlsGroup',
      'authenticatedBy',
      'levelWanted',
      'levelReached',
      'permit',
      'attempt',
      'queuedMs',
    ],
  },
  'delivery.deferred': {
    level: 'info',
    sentence: 'A delivery will be tried again.',
    fields: [
      'message',
      'customer',
      'reversePath',
      'forwardPath',
      'mxHost',
      'address',
      'scope',
      'status',
      'cause',
      'reply',
      'detail',
      'attempt',
      'nextAttemptAt',
    ],
  },
  'delivery.failed': {
    level: 'warn',
    sentence: 'A delivery was given up; the sender is told.',
    fields: [
      'message',
      'customer',
      'reversePath',
      'forwardPath',
      'mxHost',
      'address',
      'scope',
      'status',
      'cause',
      'reply',
      'detail',
      'attempt',
    ],
  },
  'delivery.fenced': {
    level: 'warn',
    sentence:
      'Somebody else owns the delivery by now: it was not sent (stage send), or its result was not recorded (result).',
    fields: ['message', 'forwardPath', 'stage'],
  },
  'delivery.dropped': {
    level: 'warn',
    sentence: 'An operator ended a delivery without telling the sender.',
    fields: ['message', 'customer', 'reversePath', 'forwardPath', 'attempt'],
  },
  'delivery.in-doubt': {
    level: 'warn',
    sentence: 'The connection broke after the final dot; a repeat may be a duplicate.',
    fields: ['message', 'forwardPath', 'mxHost'],
  },
  'notification.queued': {
    level: 'info',
    sentence: 'A notification to a sender was queued.',
    fields: ['message', 'about', 'kind', 'recipient'],
  },
  'notification.undeliverable': {
    level: 'error',
    sentence: 'A notification could not be delivered: this sender does not learn of a failure.',
    fields: ['message', 'recipient', 'cause', 'status', 'detail'],
  },
  'queue.recovered': {
    level: 'info',
    sentence: 'Deliveries of a former run were taken over.',
    fields: ['deliveries', 'orphans'],
  },
  'queue.not-accepting': {
    level: 'error',
    sentence: 'The store takes no new mail; submission answers 4xx.',
    fields: ['reason'],
  },
  'queue.accepting': { level: 'info', sentence: 'The store takes mail again.', fields: [] },
  'queue.damaged': {
    level: 'error',
    sentence: 'A stored message cannot be read and was put aside.',
    fields: ['message', 'reason'],
  },
  'queue.damaged-dropped': {
    level: 'error',
    sentence:
      'A stored message that cannot be read was dropped, by order or because its lifetime is over; nobody can be told.',
    fields: ['message', 'customer', 'domain', 'reason'],
  },
  'queue.held-expired': {
    level: 'warn',
    sentence: 'The lifetime of held deliveries is over; they are given up, and their senders are told.',
    fields: ['deliveries'],
  },
  'queue.unencrypted': {
    level: 'warn',
    sentence: 'No master key is configured: mail lies unencrypted in the data directory.',
    fields: [],
  },
  'queue.master-key-missing': {
    level: 'error',
    sentence: 'Mail in the queue needs a master key that is not configured; it will be put aside as damaged.',
    fields: ['masterKey', 'messages'],
  },
  'queue.rewrapped': {
    level: 'info',
    sentence: 'Keys of messages were wrapped anew by the current master key.',
    fields: ['messages', 'masterKey', 'formerMasterKey'],
  },
  'store.connection-lost': {
    level: 'warn',
    sentence: 'A connection to the database is gone; another one is being opened.',
    fields: ['place', 'reason'],
  },
  'cluster.lease-lost': {
    level: 'error',
    sentence:
      'The others took this gateway for dead, because its heartbeat was missing; its deliveries are theirs now.',
    fields: ['node', 'incarnation'],
  },
  'cluster.node-dead': {
    level: 'warn',
    sentence: 'Another gateway gave no sign for too long; its deliveries are taken over.',
    fields: ['node', 'incarnation'],
  },
  'journal.swept': {
    level: 'info',
    sentence: 'Entries past their retention were removed.',
    fields: ['journalEntries', 'orphans'],
  },
  'http.request-failed': {
    level: 'warn',
    sentence: 'An HTTP request ended in a fault.',
    fields: ['path', 'reason'],
  },
} as const satisfies Record<string, EventDefinition>

export type EventName = keyof typeof EVENTS

/** The fields of one event: only names from the catalogue. */
export type EventFields<N extends EventName> = Fields & {
  readonly [K in (typeof EVENTS)[N]['fields'][number]]?: Fields[string]
}
