// Sessions that wait, open, for the next message to the same domain under the same requirement (product row
// T8: a connection per message costs more than everything else). Only TLS sessions wait; one in the clear
// ends with its message, because the next message would need a permit of its own.
//
// A session leaves the cache when it is taken, when its peer says or ends anything, after `idleMs`, or as
// the oldest when there are too many. Every session in here is closed by this file.
import type { Clock, Timer } from '../runtime/clock.ts'
import { closeSession, type Session } from './client/session.ts'

export interface Connections {
  /** The session that was used last under `key`, or `null`. The caller owns it. */
  take(key: string): Session | null
  /** Takes the session over: keeps it if it may be used again, else closes it. */
  give(key: string, session: Session): void
  readonly idle: number
  /** Closes all waiting sessions and keeps none from now on. */
  stop(): void
}

export interface ConnectionLimits {
  readonly idleMs: number
  readonly idleMax: number
  readonly messagesMax: number
}

interface Waiting {
  readonly key: string
  readonly session: Session
  readonly timer: Timer
}

export function createConnections(clock: Clock, limits: ConnectionLimits): Connections {
  const byKey = new Map<string, Waiting[]>()
  /** All that wait, longest first. */
  const order = new Set<Waiting>()
  let stopped = false

  const remove = (waiting: Waiting): void => {
    waiting.timer.cancel()
    waiting.session.channel.wire.watch(null)
    order.delete(waiting)
    const rest = byKey.get(waiting.key)?.filter((other) => other !== waiting) ?? []
    if (rest.length === 0) byKey.delete(waiting.key)
    else byKey.set(waiting.key, rest)
  }
  const close = (waiting: Waiting): void => {
    remove(waiting)
    closeSession(waiting.session)
  }

  return {
    take(key) {
      const waiting = byKey.get(key)?.at(-1)
      if (waiting === undefined) return null
      remove(waiting)
      return waiting.session
    },
    give(key, session) {
      const { channel } = session
      const mayWait =
        !stopped &&
        limits.idleMs > 0 &&
        channel.kind === 'tls' &&
        channel.wire.isQuiet &&
        session.transactions < limits.messagesMax
      if (!mayWait) {
        closeSession(session)
        return
      }
      const timer = clock.after(limits.idleMs, () => close(waiting), true)
      const waiting: Waiting = { key, session, timer }
      channel.wire.disarm()
      channel.wire.watch(() => close(waiting))
      order.add(waiting)
      const same = byKey.get(key)
      if (same === undefined) byKey.set(key, [waiting])
      else same.push(waiting)
      if (order.size > limits.idleMax) {
        const oldest = order.values().next()
        if (!oldest.done) close(oldest.value)
      }
    },
    get idle() {
      return order.size
    },
    stop() {
      stopped = true
      for (const waiting of [...order]) close(waiting)
    },
  }
}
