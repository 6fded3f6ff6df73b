// Which notices are owed to a sender. Pure: the rules of RFC 3461 §4.1 and §5 with ours on top, nothing about
// how a notice looks.
//
// 1. A notice about a notice is never sent, nor one to the null reverse-path: no loops, no backscatter (N4).
// 2. NOTIFY=NEVER silences everything for that recipient.
// 3. `failed` and `delayed` are owed when NOTIFY is absent or lists the condition. At most one delay notice.
// 4. `relayed` is owed only when SUCCESS was asked for; also when the next hop promised to answer itself,
//    because many that promise never do (decision 6).
// 5. `delay-over` is owed to whom a delay notice was sent, unless a `relayed` notice says the same.
import type { MessageMeta } from '../queue/message.ts'
import type { NoticeItem, NoticeKind } from '../queue/notice.ts'
import type { Notify, NotifyCondition } from '../smtp/dsn-parameters.ts'

const asksFor = (notify: Notify, condition: NotifyCondition): boolean =>
  notify === null ? condition !== 'success' : notify !== 'never' && notify.includes(condition)

/** True when the notice `kind` is owed for this one result. */
function isOwed(kind: NoticeKind, { claim, outcome }: NoticeItem): boolean {
  const { notify } = claim.recipient.dsn
  const isDelivered = outcome.kind === 'delivered'
  switch (kind) {
    case 'failed':
      return !isDelivered && asksFor(notify, 'failure')
    case 'delayed':
      return !isDelivered && !claim.state.delayNotified && asksFor(notify, 'delay')
    case 'relayed':
      return isDelivered && asksFor(notify, 'success')
    case 'delay-over':
      return (
        isDelivered && claim.state.delayNotified && asksFor(notify, 'delay') && !asksFor(notify, 'success')
      )
  }
}

/** The items that the sender is to be told of, in their order; empty when no notice is owed. */
export function owedItems(
  kind: NoticeKind,
  message: MessageMeta,
  items: readonly NoticeItem[],
): readonly NoticeItem[] {
  if (message.kind === 'notification' || message.envelope.reversePath === null) return []
  return items.filter((item) => isOwed(kind, item))
}
