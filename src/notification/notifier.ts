// Implements the port by which delivery tells that a sender must learn something: results in, at most one
// ready message out. What is owed is decided in owed.ts, what is said in notice-text.ts, the form in report.ts.
// Nothing is sent from here: the message goes back through the queue like any other.
import type { ComposedMessage } from '../message/compose.ts'
import type { MessageMeta, NewMessage, StoredBody } from '../queue/message.ts'
import type { NoticeItem, NoticeKind, NoticePlanner } from '../queue/notice.ts'
import type { QueueStore } from '../queue/store.ts'
import { NO_MESSAGE_DSN } from '../smtp/dsn-parameters.ts'
import { type Mailbox, needsSmtpUtf8 } from '../smtp/mailbox.ts'
import { findingOf } from './finding.ts'
import { writeNotice } from './notice-text.ts'
import { readOriginal, returnedHeader } from './original.ts'
import { owedItems } from './owed.ts'
import { composeReport } from './report.ts'
import type { NotificationSettings } from './settings.ts'
import type { NoticeWording, Wording } from './wording.ts'

/** What notices ask about the customer who sent the message. */
export interface CustomerWishes {
  /** The customer may use cleartext permits, so that notices offer `[Klartext]` (M5). */
  readonly cleartextAllowed: boolean
  /** Languages in their order, `null` for those of the settings. */
  readonly languages: readonly string[] | null
}

export interface NotifierDependencies {
  readonly queue: Pick<QueueStore, 'beginBody'>
  /** Makes the id of a notice. */
  readonly newId: () => string
  readonly hostname: string
  readonly wording: NoticeWording
  readonly wishesOf: (customer: string | null) => Promise<CustomerWishes>
}

/** Creates the planner. `plan` rejects with a fault of the store; then the sender is told at the next attempt. */
export function createNotifier(deps: NotifierDependencies, settings: NotificationSettings): NoticePlanner {
  return {
    async plan(kind, message, items, now) {
      const owed = owedItems(kind, message, items)
      const { reversePath } = message.envelope
      if (reversePath === null || owed.length === 0) return []
      const id = deps.newId()
      const composed = await composeNotice(deps, settings, { id, kind, message, reversePath, owed, now })
      const body = await storeBody(deps.queue, id, composed.body)
      return [
        {
          meta: noticeMeta(settings, { id, message, reversePath, composed, now }),
          recipients: [{ forwardPath: reversePath, dsn: { notify: 'never', orcpt: null } }],
          body,
        },
      ]
    },
  }
}

interface Notice {
  readonly id: string
  readonly kind: NoticeKind
  readonly message: MessageMeta
  readonly reversePath: Mailbox
  readonly owed: readonly NoticeItem[]
  readonly now: number
}

async function composeNotice(
  deps: NotifierDependencies,
  settings: NotificationSettings,
  { id, kind, message, reversePath, owed, now }: Notice,
): Promise<ComposedMessage> {
  const { hostname, wording } = deps
  const { requireTls } = message.envelope
  const wishes = await deps.wishesOf(message.customer)
  const original = readOriginal(message.header)
  const findings = owed.map((item) => findingOf(kind, item))
  const mayTellSubject = settings.subjectInNotices && !requireTls
  const sender = { name: settings.from.name, address: settings.from.address ?? `postmaster@${hostname}` }
  const notice = writeNotice(
    {
      kind,
      findings,
      subject: mayTellSubject ? original.subject : { kind: 'withheld' },
      reference: message.id,
      acceptedAt: message.acceptedAt,
      expiresAt: message.expiresAt,
      now,
      hostname,
      senderName: sender.name,
      cleartextAllowed: wishes.cleartextAllowed && !requireTls,
    },
    chooseLanguages(wording, wishes.languages),
    wording.frame,
    settings.timeZone,
  )
  return composeReport({
    id,
    kind,
    message,
    findings,
    hostname,
    now,
    sender,
    reversePath,
    notice,
    original,
    returnedHeader: requireTls ? null : returnedHeader(original, mayTellSubject),
  })
}

/** The customer's languages as far as they are loaded, else those of the settings. */
function chooseLanguages(wording: NoticeWording, wanted: readonly string[] | null): readonly Wording[] {
  const known = (wanted ?? []).flatMap((name) =>
    wording.languages.filter(({ language }) => language === name),
  )
  return known.length > 0 ? known : wording.languages
}

/** A write never rejects; its fault comes out of `finish`. */
async function storeBody(
  queue: Pick<QueueStore, 'beginBody'>,
  id: string,
  octets: Buffer,
): Promise<StoredBody> {
  const writer = queue.beginBody(id)
  await writer.write(octets)
  return writer.finish()
}

/**
 * A notice may travel in the clear (decision 7) unless the operator demands TLS or the message was sent with
 * REQUIRETLS; of such a message it says nothing that was in it. RFC 8689 §5.
 */
function noticeMeta(
  settings: NotificationSettings,
  notice: Pick<Notice, 'id' | 'message' | 'reversePath' | 'now'> & { readonly composed: ComposedMessage },
): NewMessage['meta'] {
  const { id, message, reversePath, composed, now } = notice
  const tlsOnly = settings.requireTls || message.envelope.requireTls
  return {
    id,
    kind: 'notification',
    customer: null,
    credential: null,
    envelope: {
      reversePath: null,
      dsn: NO_MESSAGE_DSN,
      smtpUtf8: composed.headerUtf8 || needsSmtpUtf8(reversePath),
      requireTls: false,
    },
    header: composed.header,
    sizeBytes: composed.header.length + composed.body.length,
    eightBit: composed.eightBit,
    headerUtf8: composed.headerUtf8,
    permit: tlsOnly ? null : 'notification',
    level: tlsOnly ? 'encrypt' : 'may',
    receivedOverTls: false,
    acceptedAt: now,
    expiresAt: now + settings.lifetime,
  }
}
