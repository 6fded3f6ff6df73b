// Where mail for a domain goes (T7): MX hosts in order of trial and their addresses. RFC 5321 §5.1, RFC 7505.
// Names come from strangers: only those that are host names by our strict grammar are used. Does not judge
// addresses (delivery/address-guard) and does not look for our own name among the hosts.
//
//   no such name          no-domain
//   trouble               trouble; never mistaken for "no MX", which would send mail to the web server
//   one record `0 .`      null-mx
//   records               those with usable names by preference, equals shuffled; none usable: no-host
//   no MX record          the domain itself when it has an address (implicit MX), else no-host
import type { Random } from '../runtime/random.ts'
import { shuffled } from '../runtime/random.ts'
import { type Domain, parseDomain } from '../smtp/domain.ts'
import type { Answer, MxRecord, MxResult, Resolver } from './resolver.ts'

/** A sender need not try more hosts than this, and a hostile zone cannot make us. */
const HOSTS_MAX = 20

/** Where mail for `domain` goes now. Never rejects unless `resolver` does. */
export async function resolveMx(resolver: Resolver, random: Random, domain: Domain): Promise<MxResult> {
  const answer = await resolver.mx(domain)
  switch (answer.kind) {
    case 'records':
      return fromRecords(answer.records, answer.secure, random)
    case 'no-data':
      return implicitMx(resolver, domain, answer.secure)
    case 'no-name':
      return { kind: 'no-domain' }
    case 'trouble':
      return { kind: 'trouble', reason: `MX ${domain}: ${answer.reason}` }
    default:
      return answer satisfies never
  }
}

function fromRecords(records: readonly MxRecord[], secure: boolean, random: Random): MxResult {
  const [first] = records
  if (records.length === 1 && first?.exchange === '.' && first.preference === 0) return { kind: 'null-mx' }

  const preferences = new Map<Domain, number>()
  for (const { exchange, preference } of records) {
    const name = parseDomain(exchange)
    if (name) preferences.set(name, Math.min(preference, preferences.get(name) ?? preference))
  }
  if (preferences.size === 0) return { kind: 'no-host', reason: 'no MX record names a usable host' }
  const hosts = shuffled([...preferences], random)
    .map(([name, preference]) => ({ name, preference }))
    .sort((left, right) => left.preference - right.preference)
    .slice(0, HOSTS_MAX)
  return { kind: 'hosts', hosts, implicit: false, secure }
}

async function implicitMx(resolver: Resolver, domain: Domain, secure: boolean): Promise<MxResult> {
  const addresses = await resolveAddresses(resolver, domain)
  switch (addresses.kind) {
    case 'addresses':
      return { kind: 'hosts', hosts: [{ name: domain, preference: 0 }], implicit: true, secure }
    case 'none':
      return { kind: 'no-host', reason: 'neither MX nor address record' }
    case 'trouble':
      return addresses
    default:
      return addresses satisfies never
  }
}

/** The addresses of one host. */
export type AddressResult =
  | {
      readonly kind: 'addresses'
      /** In the order of the answers; at least one of the two lists has an entry. */
      readonly ipv4: readonly string[]
      readonly ipv6: readonly string[]
      /** All records in both lists were validated by DNSSEC. */
      readonly secure: boolean
    }
  /** The host does not exist or has no address. */
  | { readonly kind: 'none' }
  /** Nothing can be said, or only that one family is empty. */
  | { readonly kind: 'trouble'; readonly reason: string }

/** Both address families of `host`, asked at the same time; trouble with one does not hide the other. */
export async function resolveAddresses(resolver: Resolver, host: Domain): Promise<AddressResult> {
  const [a, aaaa] = await Promise.all([resolver.a(host), resolver.aaaa(host)])
  const found = [a, aaaa].filter((answer) => answer.kind === 'records')
  if (found.length > 0) {
    const secure = found.every((answer) => answer.secure)
    return { kind: 'addresses', ipv4: recordsOf(a), ipv6: recordsOf(aaaa), secure }
  }
  if (a.kind === 'trouble') return { kind: 'trouble', reason: `A ${host}: ${a.reason}` }
  if (aaaa.kind === 'trouble') return { kind: 'trouble', reason: `AAAA ${host}: ${aaaa.reason}` }
  return { kind: 'none' }
}

const recordsOf = (answer: Answer<string>): readonly string[] =>
  answer.kind === 'records' ? answer.records : []
