// What a response means: follows aliases, tells "no such name" from "no such record" from "cannot say".
// RFC 1034 §3.6.2, RFC 2308 (negative answers), RFC 6698 §2.1 (TLSA). Pure; reading octets is packet.ts.
import { SocketAddress } from 'node:net'
import { type Query, type ResourceRecord, type Response, readName, TYPE } from './packet.ts'
import type { Answer, MxRecord, TlsaRecord } from './resolver.ts'

/** Reads the RDATA of one record. Throws when it is not what its type demands. */
export type Decode<T> = (record: ResourceRecord) => T

const ALIASES_MAX = 8
const RCODE_NAMES: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  4: 'NOTIMP',
  5: 'REFUSED',
  16: 'BADVERS',
}

/**
 * The answer to `query` in `response`.
 * @param trusted whether the AD bit of this resolver counts
 */
export function interpret<T>(
  response: Response,
  query: Query,
  decode: Decode<T>,
  trusted: boolean,
): Answer<T> {
  const secure = trusted && response.authenticated
  if (response.rcode === 3) return { kind: 'no-name', secure, ttlSeconds: negativeTtlSeconds(response) }
  if (response.rcode !== 0) return { kind: 'trouble', reason: describeRcode(response) }

  const type = TYPE[query.type]
  let canonicalName = query.name
  let ttlSeconds = Number.POSITIVE_INFINITY
  for (let aliases = 0; aliases <= ALIASES_MAX; aliases++) {
    const owned = response.answers.filter((record) => record.owner === canonicalName)
    const wanted = owned.filter((record) => record.type === type)
    if (wanted.length > 0) {
      for (const record of wanted) ttlSeconds = Math.min(ttlSeconds, record.ttlSeconds)
      return decodeAll(wanted, decode, { secure, ttlSeconds, canonicalName })
    }
    const alias = owned.find((record) => record.type === TYPE.CNAME)
    if (!alias) return withoutRecords(response, secure)
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds)
    const target = readTarget(alias)
    if (target === null) return { kind: 'trouble', reason: 'unreadable alias' }
    canonicalName = target
  }
  return { kind: 'trouble', reason: `more than ${ALIASES_MAX} aliases` }
}

function decodeAll<T>(
  records: readonly ResourceRecord[],
  decode: Decode<T>,
  found: { readonly secure: boolean; readonly ttlSeconds: number; readonly canonicalName: string },
): Answer<T> {
  try {
    return { kind: 'records', records: records.map(decode), ...found }
  } catch {
    // One unreadable record makes the whole set doubtful: it is never taken for a smaller set.
    return { kind: 'trouble', reason: 'unreadable record' }
  }
}

/** The name exists but not the record, unless the "resolver" only pointed elsewhere. RFC 2308 §2.2. */
function withoutRecords<T>(response: Response, secure: boolean): Answer<T> {
  const authorities = response.authorities
  const isReferral =
    authorities.some((record) => record.type === TYPE.NS) &&
    !authorities.some((record) => record.type === TYPE.SOA)
  if (isReferral) return { kind: 'trouble', reason: 'referral instead of an answer' }
  return { kind: 'no-data', secure, ttlSeconds: negativeTtlSeconds(response) }
}

/** The smaller of the SOA's lifetime and its MINIMUM; 0 without SOA. RFC 2308 §5. */
function negativeTtlSeconds(response: Response): number {
  const soa = response.authorities.find((record) => record.type === TYPE.SOA)
  if (!soa || soa.end - soa.start < 22) return 0
  return Math.min(soa.ttlSeconds, soa.message.readUInt32BE(soa.end - 4))
}

function describeRcode({ rcode, extendedError }: Response): string {
  const name = RCODE_NAMES[rcode] ?? `RCODE ${rcode}`
  return extendedError === null ? name : `${name}, extended error ${extendedError}`
}

function readTarget(record: ResourceRecord): string | null {
  try {
    return nameWithin(record, record.start).toLowerCase()
  } catch {
    return null
  }
}

function nameWithin(record: ResourceRecord, start: number): string {
  const { name, end } = readName(record.message, start)
  if (end !== record.end) throw new RangeError('a name does not fill its record')
  return name
}

const octetsOf = ({ message, start, end }: ResourceRecord): Buffer => message.subarray(start, end)

/** RFC 1035 §3.3.9. */
export const decodeMx: Decode<MxRecord> = (record) => ({
  preference: record.message.readUInt16BE(record.start),
  exchange: nameWithin(record, record.start + 2),
})

/** RFC 1035 §3.4.1. */
export const decodeA: Decode<string> = (record) => {
  const octets = octetsOf(record)
  if (octets.length !== 4) throw new RangeError('not an IPv4 address')
  return octets.join('.')
}

/** RFC 3596 §2.2; spelled as RFC 5952 wishes. */
export const decodeAaaa: Decode<string> = (record) => {
  const octets = octetsOf(record)
  if (octets.length !== 16) throw new RangeError('not an IPv6 address')
  const groups = (octets.toString('hex').match(/.{4}/g) ?? []).join(':')
  return new SocketAddress({ address: groups, family: 'ipv6' }).address
}

/** The strings of one record joined, as MTA-STS, SPF and DKIM want them. RFC 1035 §3.3.14, RFC 7208 §3.3. */
export const decodeTxt: Decode<string> = (record) => {
  const octets = octetsOf(record)
  const strings: Buffer[] = []
  for (let at = 0; at < octets.length; ) {
    const end = at + 1 + octets.readUInt8(at)
    if (end > octets.length) throw new RangeError('a string reaches past its record')
    strings.push(octets.subarray(at + 1, end))
    at = end
  }
  return Buffer.concat(strings).toString('utf8')
}

/** RFC 6698 §2.1. */
export const decodeTlsa: Decode<TlsaRecord> = (record) => {
  const octets = octetsOf(record)
  return {
    usage: octets.readUInt8(0),
    selector: octets.readUInt8(1),
    matching: octets.readUInt8(2),
    data: Uint8Array.from(octets.subarray(3)),
  }
}
