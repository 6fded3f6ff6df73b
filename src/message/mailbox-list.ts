// Who a field like From names, read strictly from its unfolded raw text. Two steps, and both must agree:
// 1. Our own grammar, the part of RFC 5322 §3.4 and RFC 6532 §3.2 that all parsers read alike: a list of
//    `addr-spec` or `[display name] <addr-spec>`. Display names are atoms, dots, quoted strings and comments.
//    Refused: groups, routes, empty list members, nested comments, comments with addresses, and within the
//    addr-spec white space, comments, encoded words, literals and quoted specials.
// 2. A second opinion: another parser must read the same addresses, and neither it nor a reader that decodes
//    encoded words first, nor one that just looks for angle brackets, may find an address of somebody else.
// Everything else is `unclear`. A quoted or encoded display name that is an address is allowed: programs
// write `"max@example.com" <max@example.com>` all the time, and the addr-spec is plain to all readers.
// Without quotes it is allowed only when it is the very same address (programs write that, too).
import { type Mailbox, mailboxFrom, parseMailbox, sameMailbox } from '../smtp/mailbox.ts'
import { decodeWords } from './encoded-words.ts'
import { readAddresses } from './second-opinion.ts'

/** `reason` completes "the field cannot be read: …" and holds nothing of the value. */
export type ParsedMailboxList =
  | { readonly kind: 'list'; readonly mailboxes: readonly Mailbox[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'unclear'; readonly reason: string }

export type ParsedSingleMailbox =
  | { readonly kind: 'one'; readonly mailbox: Mailbox }
  | { readonly kind: 'none' }
  | { readonly kind: 'several' }
  | { readonly kind: 'unclear'; readonly reason: string }

/** Bound of one value in UTF-16 units: the parsers behind it are not all linear. */
const VALUE_LENGTH_MAX = 4000

const TOKENS =
  /(?<blank>[ \t]+)|(?<comment>\([^()\\<>@\p{Cc}]*\))|(?<quoted>"(?:[^"\\\p{Cc}]|\\["\\])*")|<(?<angle>[^<>]*)>|(?<comma>,)|(?<word>[^\s\p{Cc}()<>[\]:;,"\\]+)|(?<other>.)/gsu

const unclear = (reason: string) => ({ kind: 'unclear', reason }) as const

/** Reads a value that must name one mailbox (From, Sender). */
export function parseSingleMailbox(value: string): ParsedSingleMailbox {
  const parsed = parseMailboxList(value)
  if (parsed.kind !== 'list') return parsed
  const [mailbox, ...others] = parsed.mailboxes
  return mailbox === undefined || others.length > 0 ? { kind: 'several' } : { kind: 'one', mailbox }
}

/** Reads a value that names one or more mailboxes (Resent-From). Unfolded text, as `fieldText` gives it. */
export function parseMailboxList(value: string): ParsedMailboxList {
  if (value.length > VALUE_LENGTH_MAX) return unclear('it is too long')
  const members = splitMembers(value)
  if (typeof members === 'string') return unclear(members)
  if (members.length === 1 && members[0]?.length === 0) return { kind: 'none' }
  const mailboxes: Mailbox[] = []
  for (const member of members) {
    const mailbox = readMember(member)
    if (typeof mailbox === 'string') return unclear(mailbox)
    mailboxes.push(mailbox)
  }
  const doubt = findDoubt(value, mailboxes)
  return doubt === null ? { kind: 'list', mailboxes } : unclear(doubt)
}

interface Token {
  readonly kind: 'word' | 'quoted' | 'angle'
  readonly text: string
}

/** The members of the list as their tokens without blanks and comments; a text says why it cannot be done. */
function splitMembers(value: string): Token[][] | string {
  let member: Token[] = []
  const members = [member]
  for (const { groups = {} } of value.matchAll(TOKENS)) {
    const { word, quoted, angle, comma, other } = groups
    if (other !== undefined) return faultOf(other)
    if (comma !== undefined) {
      member = []
      members.push(member)
    }
    if (word !== undefined) member.push({ kind: 'word', text: word })
    if (quoted !== undefined) member.push({ kind: 'quoted', text: quoted })
    if (angle !== undefined) member.push({ kind: 'angle', text: angle })
  }
  return members
}

function faultOf(character: string): string {
  if (character === ':' || character === ';') return 'it is a group'
  if (character === '<' || character === '>') return 'an angle bracket has no counterpart'
  if (character === '"') return 'a quoted text does not end or holds an unusual escape'
  if (character === '(' || character === ')') return 'it holds a comment that is not plain'
  return 'it holds a character that must be quoted'
}

/** The mailbox of one member, or why there is none. */
function readMember(tokens: readonly Token[]): Mailbox | string {
  const last = tokens.at(-1)
  if (last === undefined) return 'it has an empty place in its list'
  const name = tokens.slice(0, -1)
  if (last.kind === 'quoted' || (last.kind === 'word' && name.length > 0)) return 'its address is not plain'
  if (name.some(({ kind }) => kind === 'angle')) return 'it has more than one address in a row'
  const mailbox = readAddress(last.text)
  if (typeof mailbox === 'string') return mailbox
  const isForeign = ({ kind, text }: Token) => {
    if (kind !== 'word' || !text.includes('@')) return false
    const named = mailboxFrom(text)
    return named === null || !sameMailbox(named, mailbox)
  }
  return name.some(isForeign) ? 'its display name holds another address without quotes' : mailbox
}

function readAddress(text: string): Mailbox | string {
  if (text === '') return 'its address is empty'
  if (text.includes('=?')) return 'its address holds an encoded word'
  if (text.startsWith('@')) return 'its address holds a route'
  if (text.startsWith('"') && !/^"[^"\\(),:;<>@[\]\p{Cc}]*"@/u.test(text))
    return 'its local-part is not plain'
  const parsed = parseMailbox(text)
  if (parsed.kind === 'mailbox') return parsed.mailbox
  return parsed.kind === 'literal' ? 'its address has no domain name' : `its address ${parsed.reason}`
}

/** Is there a reader who would see somebody else? Says why, or `null` when all agree. */
function findDoubt(value: string, mailboxes: readonly Mailbox[]): string | null {
  const isOneOf = (address: string, named: readonly Mailbox[]) => {
    const mailbox = mailboxFrom(address)
    return mailbox !== null && named.some((other) => sameMailbox(other, mailbox))
  }
  const asWritten = readAddresses(value)
  const agrees = (address: string, at: number) => isOneOf(address, mailboxes.slice(at, at + 1))
  if (asWritten.length !== mailboxes.length || !asWritten.every(agrees)) return PROGRAMS_DIFFER
  const decoded = decodeWords(value)
  if (/(?!\t)\p{Cc}/u.test(decoded)) return 'its display name holds a control character'
  const inBrackets = [...decoded.matchAll(/<([^<>]*@[^<>]*)>/g)].map(([, address = '']) => address)
  const afterDecoding = [...readAddresses(decoded), ...inBrackets].filter((address) => address !== '')
  return afterDecoding.every((address) => isOneOf(address, mailboxes)) ? null : NAME_MISLEADS
}

const PROGRAMS_DIFFER = 'programs read its address differently'
const NAME_MISLEADS = 'its display name reads like another address'
