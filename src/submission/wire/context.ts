// What a connection is handed: the rest of the room, as functions.
import type { Clock } from '../../runtime/clock.ts'
import type { CataloguedReply } from '../../smtp/replies.ts'
import type { Reception, Transaction } from '../acceptance.ts'
import type { SessionDeps } from '../session.ts'
import type { SubmissionSettings } from '../settings.ts'

/** The facts of a connection that logging needs. */
export interface ConnectionFacts {
  readonly id: string
  readonly remoteAddress: string
  readonly identity: { readonly login: string; readonly customer: { readonly name: string } } | null
}

export interface ConnectionContext {
  readonly hostname: string
  readonly settings: SubmissionSettings
  readonly clock: Clock
  readonly sessionDeps: SessionDeps
  readonly receive: (transaction: Transaction) => Reception
  /** Is the gateway draining? Then sessions end between two transactions. */
  readonly draining: () => boolean
  /** The session is over; called once. */
  readonly closed: (
    connection: ConnectionFacts & { readonly messages: number; readonly openedAt: number },
  ) => void
  /** Logs a refusal. */
  readonly refused: (
    connection: ConnectionFacts,
    reply: CataloguedReply,
    stage: string,
    reversePath: string | null,
    details: { reason?: string; forwardPath?: string },
  ) => void
  /** Logs a fault and yields the 451 that names its incident. */
  readonly fault: (error: unknown, where: string) => CataloguedReply
}
