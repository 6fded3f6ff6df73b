// DNS messages as octets: writes queries, reads responses. RFC 1035 §4, RFC 6891 (EDNS), RFC 8914.
// Says nothing about what a response means (answer.ts) and opens no socket (exchange.ts).
//
// dns-packet writes; the reader is ours, because a reader of hostile data must honour RDLENGTH, pass over
// record types it does not know, and keep a dot inside a label apart from a dot between two: here such an
// octet comes out as `\046`, which no host name parser accepts.
import { AUTHENTIC_DATA, DNSSEC_OK, encode, RECURSION_DESIRED } from 'dns-packet'
import type { Random } from '../runtime/random.ts'

/** Record types by number (IANA). */
export const TYPE = { A: 1, NS: 2, CNAME: 5, SOA: 6, MX: 15, TXT: 16, AAAA: 28, OPT: 41, TLSA: 52 } as const

/** What this room asks for. */
export type QueryType = 'MX' | 'A' | 'AAAA' | 'TXT' | 'TLSA'

/** One question on its way. A repetition is a new query with a new id. */
export interface Query {
  /** Lower case, no trailing dot. */
  readonly name: string
  readonly type: QueryType
  readonly bytes: Buffer
}

/** One record of a response; `message` from `start` to `end` is its RDATA. */
export interface ResourceRecord {
  /** Lower case, escaped as `readName` does. */
  readonly owner: string
  readonly type: number
  readonly ttlSeconds: number
  readonly message: Buffer
  readonly start: number
  readonly end: number
}

export interface Response {
  /** With the upper bits from EDNS. RFC 6891 §6.1.3. */
  readonly rcode: number
  readonly truncated: boolean
  /** The AD bit. */
  readonly authenticated: boolean
  /** RFC 8914 INFO-CODE, such as 6 for "DNSSEC Bogus". */
  readonly extendedError: number | null
  readonly answers: readonly ResourceRecord[]
  readonly authorities: readonly ResourceRecord[]
}

/** `foreign`: not the response to this query (id, question); a spoof or a straggler, to be passed over. */
export type Reading =
  | { readonly kind: 'response'; readonly response: Response }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'malformed'; readonly reason: string }

/** The answer size that survives every path unfragmented (DNS flag day 2020). */
const UDP_PAYLOAD_OCTETS = 1232
const HEADER_OCTETS = 12
const RECORDS_MAX = 512
const NAME_OCTETS_MAX = 255
const CLASS_IN = 1
const OPTION_EXTENDED_ERROR = 15
const QUERY_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*$/

/** A query with a random id, asking for recursion and DNSSEC (AD, DO); `null` when `name` cannot be asked for. */
export function createQuery(random: Random, name: string, type: QueryType): Query | null {
  const lower = name.toLowerCase()
  if (!QUERY_NAME.test(lower)) return null
  const bytes = encode({
    type: 'query',
    id: random.bytes(2).readUInt16BE(0),
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ name: lower, type, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: UDP_PAYLOAD_OCTETS,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: DNSSEC_OK,
        flag_do: true,
        options: [],
      },
    ],
  })
  return { name: lower, type, bytes }
}

/** Reads what came back for `query`. Never throws, whatever the octets. */
export function readResponse(message: Buffer, query: Query): Reading {
  try {
    if (message.length < HEADER_OCTETS || message.readUInt16BE(0) !== query.bytes.readUInt16BE(0)) {
      return { kind: 'foreign' }
    }
    return readMatching(message, query)
  } catch (error) {
    // Reads past the end throw RangeError; bad names throw below. Both mean: these octets say nothing.
    return { kind: 'malformed', reason: error instanceof Error ? error.message : 'unreadable' }
  }
}

function readMatching(message: Buffer, query: Query): Reading {
  const flags = message.readUInt16BE(2)
  const isResponse = (flags & 0x8000) !== 0
  const headerRcode = flags & 0x0f
  // A server that cannot read the query may answer FORMERR without repeating the question.
  const isBare = message.readUInt16BE(4) === 0 && headerRcode !== 0
  if (!isResponse || !(isBare || repeatsQuestion(message, query))) return { kind: 'foreign' }
  if ((flags & 0x7800) !== 0) return { kind: 'malformed', reason: 'an opcode that was not asked' }

  const counts = [message.readUInt16BE(6), message.readUInt16BE(8), message.readUInt16BE(10)] as const
  const truncated = (flags & 0x0200) !== 0
  // A truncated message may end anywhere; it is asked for again over TCP, so its records do not matter.
  if (counts[0] + counts[1] + counts[2] > RECORDS_MAX)
    return { kind: 'malformed', reason: 'too many records' }
  const cursor = { at: isBare ? HEADER_OCTETS : questionEnd(query) }
  const sections = truncated ? [[], [], []] : counts.map((length) => readRecords(message, cursor, length))
  const [answers = [], authorities = [], additionals = []] = sections
  const option = additionals.find((record) => record.type === TYPE.OPT)
  return {
    kind: 'response',
    response: {
      rcode: headerRcode | (option ? (option.ttlSeconds >>> 24) << 4 : 0),
      truncated,
      authenticated: (flags & AUTHENTIC_DATA) !== 0,
      extendedError: option ? readExtendedError(option) : null,
      answers,
      authorities,
    },
  }
}

/** Header, the name and its root label, type and class; our own query has nothing before it. */
const questionEnd = (query: Query): number => HEADER_OCTETS + query.name.length + 2 + 4

/** True when the question comes back octet by octet; only the case of letters may differ. */
function repeatsQuestion(message: Buffer, query: Query): boolean {
  if (message.readUInt16BE(4) !== 1) return false
  const end = questionEnd(query)
  const sent = query.bytes.toString('latin1', HEADER_OCTETS, end)
  return message.toString('latin1', HEADER_OCTETS, end).toLowerCase() === sent.toLowerCase()
}

function readRecords(message: Buffer, cursor: { at: number }, length: number): ResourceRecord[] {
  const records: ResourceRecord[] = []
  for (let index = 0; index < length; index++) {
    const { name, end: fixed } = readName(message, cursor.at)
    const type = message.readUInt16BE(fixed)
    const start = fixed + 10
    const end = start + message.readUInt16BE(fixed + 8)
    if (end > message.length) throw new RangeError('a record reaches past the end')
    cursor.at = end
    // OPT keeps other things than a class and a lifetime in these two fields.
    const isOption = type === TYPE.OPT
    if (!isOption && message.readUInt16BE(fixed + 2) !== CLASS_IN) continue
    const ttl = message.readUInt32BE(fixed + 4)
    // A lifetime with the top bit set is zero. RFC 2181 §8.
    const ttlSeconds = isOption || ttl < 2 ** 31 ? ttl : 0
    records.push({ owner: name.toLowerCase(), type, ttlSeconds, message, start, end })
  }
  return records
}

function readExtendedError({ message, start, end }: ResourceRecord): number | null {
  let at = start
  while (at + 4 <= end) {
    const length = message.readUInt16BE(at + 2)
    if (message.readUInt16BE(at) === OPTION_EXTENDED_ERROR && length >= 2) return message.readUInt16BE(at + 4)
    at += 4 + length
  }
  return null
}

/**
 * The name at `start` as text without trailing dot (`.` for the root) and where reading goes on. Octets that
 * are not printable ASCII, dots and backslashes inside labels come as `\DDD`. Throws on a name that breaks the
 * rules: over-long, pointers that do not lead backwards (so loops are impossible), reserved label types.
 */
export function readName(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = []
  let at = start
  let end = -1
  let pointerLimit = start
  let octets = 1
  for (;;) {
    const length = message.readUInt8(at)
    if (length === 0) break
    if (length >= 0xc0) {
      const target = message.readUInt16BE(at) & 0x3fff
      if (target >= pointerLimit) throw new RangeError('a name points forwards')
      if (end < 0) end = at + 2
      pointerLimit = target
      at = target
      continue
    }
    if (length > 63) throw new RangeError('a label of an unknown kind')
    octets += length + 1
    if (octets > NAME_OCTETS_MAX) throw new RangeError('a name is too long')
    if (at + 1 + length > message.length) throw new RangeError('a name reaches past the end')
    labels.push(escapeLabel(message.toString('latin1', at + 1, at + 1 + length)))
    at += 1 + length
  }
  return { name: labels.length === 0 ? '.' : labels.join('.'), end: end < 0 ? at + 1 : end }
}

const escapeLabel = (label: string): string =>
  label.replace(/[^\x21-\x7e]|[.\\]/g, (octet) => `\\${String(octet.charCodeAt(0)).padStart(3, '0')}`)
