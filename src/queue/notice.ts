// How delivery tells notification that a sender must learn something. The two rooms do not know each other:
// delivery calls this port, notification implements it, relay.ts plugs it in.
import type { Claim, MessageMeta, NewMessage } from './message.ts'
import type { Outcome } from './outcome.ts'

/**
 * - `failed`: final (N1). - `delayed`: still trying (N2). - `relayed`: handed over, asked for by
 *   NOTIFY=SUCCESS (N3). - `delay-over`: delivered after a delay notice (N2, beyond).
 */
export type NoticeKind = 'failed' | 'delayed' | 'relayed' | 'delay-over'

export interface NoticeItem {
  readonly claim: Claim
  readonly outcome: Outcome
}

export interface NoticePlanner {
  /**
   * The notices owed to the sender for results of one message that share a fate; empty when none is owed
   * (null reverse-path, NOTIFY says no, a notice itself). Each is ready to be enqueued with the results.
   * At most one per call: all items stand in it. @param now epoch ms
   */
  plan(
    kind: NoticeKind,
    message: MessageMeta,
    items: readonly NoticeItem[],
    now: number,
  ): Promise<NewMessage[]>
}
