// The log: JSON lines through pino, one event each. Synchronous destination on purpose (libraries.md G).
import { destination, pino } from 'pino'
import { EVENTS, type EventFields, type EventName } from './events.ts'

export interface Log {
  event<N extends EventName>(name: N, fields: EventFields<N>): void
}

/** Keys that never appear whatever a caller passes: the second net behind the field types. */
const REDACTED = ['password', 'subject', 'body', 'header', 'key', 'token', 'secret']

export interface LogSettings {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
}

/** Writes to file descriptor `fd` (1 = standard output). Lines of up to a few KB are buffered, flushed each tick. */
export function createLog(settings: LogSettings, fd: number, now: () => number): Log & { flush(): void } {
  const sink = destination({ fd, sync: true, minLength: 0 })
  const logger = pino(
    {
      level: settings.level,
      base: null,
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, remove: true },
    },
    sink,
  )
  return {
    event(name, fields) {
      logger[EVENTS[name].level]({ event: name, ...fields })
    },
    flush: () => sink.flushSync(),
  }
}

/** For tests and tools that want no output. */
export const silentLog: Log = { event: () => {} }
