// The author rule (product row S5): the header From is exactly the reverse-path, and nobody else is named as
// the one who sent the message. In this order, the first fault is the answer:
// 1. exactly one From field, counted on the raw header; exactly one mailbox in it, read without doubt;
// 2. it is the reverse-path. With the null reverse-path (a mail server's own notice) it must be licensed;
// 3. at most one Sender with one mailbox, licensed;
// 4. every mailbox in every Resent-From and Resent-Sender is licensed.
// What cannot be read is refused. RFC 5322 §3.6.2, §3.6.6; domains are compared as A-labels (RFC 5890).
import { type Mailbox, type ReversePath, sameMailbox } from '../smtp/mailbox.ts'
import { type CataloguedReply, cataloguedReply, type ReplyId } from '../smtp/replies.ts'
import type { HeaderBlock } from './header-block.ts'
import { fieldsNamed, fieldText, type HeaderField } from './header-field.ts'
import { parseMailboxList, parseSingleMailbox } from './mailbox-list.ts'

export type AuthorVerdict =
  | { readonly kind: 'ok'; readonly author: Mailbox }
  | { readonly kind: 'refused'; readonly reply: CataloguedReply }

type Refused = Extract<AuthorVerdict, { kind: 'refused' }>

/** Applies the rule. `isLicensed` answers for the customer whose login or tenant this is. */
export function checkAuthor(
  header: HeaderBlock,
  reversePath: ReversePath,
  isLicensed: (mailbox: Mailbox) => boolean,
): AuthorVerdict {
  const address = reversePath?.text ?? 'your licensed address'
  const refuse = (id: ReplyId, values: Record<string, string> = {}): Refused => ({
    kind: 'refused',
    reply: cataloguedReply(id, { address, ...values }),
  })
  const [from, ...others] = fieldsNamed(header, 'from')
  if (from === undefined) return refuse('author-missing')
  if (others.length > 0) return refuse('author-several')
  const text = fieldText(from)
  if (text === null) return refuse('author-unclear', { reason: NOT_UTF8 })
  const parsed = parseSingleMailbox(text)
  if (parsed.kind === 'none') return refuse('author-missing')
  if (parsed.kind === 'several') return refuse('author-several')
  if (parsed.kind === 'unclear') return refuse('author-unclear', { reason: parsed.reason })
  const author = parsed.mailbox
  if (reversePath !== null && !sameMailbox(author, reversePath)) {
    return refuse('author-differs', { author: author.text })
  }
  if (reversePath === null && !isLicensed(author)) {
    return refuse('author-not-licensed', { field: from.name, author: author.text })
  }
  return checkOthers(header, isLicensed, refuse) ?? { kind: 'ok', author }
}

const NOT_UTF8 = 'it is neither ASCII nor UTF-8'

/** Sender and the Resent fields: the first refusal, or `null`. */
function checkOthers(
  header: HeaderBlock,
  isLicensed: (mailbox: Mailbox) => boolean,
  refuse: (id: ReplyId, values: Record<string, string>) => Refused,
): Refused | null {
  const senders = fieldsNamed(header, 'sender')
  if (senders.length > 1)
    return refuse('author-field-unclear', { field: 'Sender', reason: 'there are several' })
  const resent = [...fieldsNamed(header, 'resent-from'), ...fieldsNamed(header, 'resent-sender')]
  for (const field of [...senders, ...resent]) {
    const named = readMailboxes(field)
    if (typeof named === 'string') return refuse('author-field-unclear', { field: field.name, reason: named })
    const stranger = named.find((mailbox) => !isLicensed(mailbox))
    if (stranger) return refuse('author-not-licensed', { field: field.name, author: stranger.text })
  }
  return null
}

/** The mailboxes of a field (only Resent-From may name several), or why they cannot be read. */
function readMailboxes(field: HeaderField): readonly Mailbox[] | string {
  const text = fieldText(field)
  if (text === null) return NOT_UTF8
  const parsed = parseMailboxList(text)
  if (parsed.kind === 'none') return 'it names nobody'
  if (parsed.kind === 'unclear') return parsed.reason
  return parsed.mailboxes.length > 1 && field.key !== 'resent-from' ? 'it names several' : parsed.mailboxes
}
