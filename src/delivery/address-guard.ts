// Which addresses mail may be sent to (product row T9): none that some stranger's MX record could abuse to
// reach inside. Special-purpose addresses (RFC 6890 and the IANA registries) and our own are refused unless
// the operator allows the network. What is judged is the very address that is connected to afterwards.
import { BlockList, isIP } from 'node:net'

/** `null` when allowed, else what the address is, to complete "the address … is …". */
export type AddressGuard = (address: string) => string | null

const SPECIAL: readonly (readonly [network: string, what: string])[] = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared by a carrier'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'special-purpose'],
  ['192.0.2.0/24', 'for documentation'],
  ['192.88.99.0/24', 'special-purpose'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'for benchmarks'],
  ['198.51.100.0/24', 'for documentation'],
  ['203.0.113.0/24', 'for documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['64:ff9b:1::/48', 'private'],
  ['100::/64', 'special-purpose'],
  ['2001::/23', 'special-purpose'],
  ['2001:db8::/32', 'for documentation'],
  ['3fff::/20', 'for documentation'],
  ['5f00::/16', 'special-purpose'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
]

/** @param ownAddresses asked each time: interfaces come and go */
export function createAddressGuard(
  allowedNetworks: readonly string[],
  ownAddresses: () => readonly string[],
): AddressGuard {
  const allowed = new BlockList()
  for (const network of allowedNetworks) addNetwork(allowed, network)
  const special = SPECIAL.map(([network, what]) => {
    const list = new BlockList()
    addNetwork(list, network)
    return { list, what }
  })
  return (address) => {
    const forms = addressForms(address)
    if (forms === null) return 'not an IP address'
    if (forms.some((form) => contains(allowed, form))) return null
    for (const form of forms) {
      for (const { list, what } of special) if (contains(list, form)) return what
    }
    if (forms[0] === '::' || forms[0] === '::1') return forms[0] === '::' ? 'unspecified' : 'loopback'
    const own = ownAddresses().flatMap((text) => addressForms(text) ?? [])
    return forms.some((form) => own.includes(form)) ? "this gateway's own" : null
  }
}

const contains = (list: BlockList, address: string): boolean =>
  list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')

function addNetwork(list: BlockList, network: string): void {
  const [address = '', prefix] = network.split('/')
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
  list.addSubnet(address, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family)
}

/** The address in canonical spelling and, if it carries one, the IPv4 address that packets end up at. */
function addressForms(address: string): string[] | null {
  if (isIP(address) === 4) return [address]
  if (isIP(address) !== 6 || address.includes('%')) return null
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const groups = groupsOf(canonical)
  const embedded = embeddedIpv4(groups)
  return embedded === null ? [canonical] : [canonical, embedded]
}

/** The eight groups of a canonical IPv6 text (which never holds a dotted quad). */
function groupsOf(canonical: string): number[] {
  const [left = '', right = ''] = canonical.split('::')
  const parse = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const head = parse(left)
  const tail = parse(right)
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
}

function embeddedIpv4(groups: readonly number[]): string | null {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups
  const quad = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join('.')
  const zeros = a === 0 && b === 0 && c === 0 && d === 0
  // Mapped ::ffff:0:0/96, translated ::ffff:0:0:0/96, compatible ::/96 (but not :: and ::1).
  if (zeros && ((e === 0 && f === 0xffff) || (e === 0xffff && f === 0))) return quad(g, h)
  if (zeros && e === 0 && f === 0 && (g !== 0 || h > 1)) return quad(g, h)
  // NAT64, RFC 6052; 6to4, RFC 3056.
  if (a === 0x64 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0) return quad(g, h)
  return a === 0x2002 ? quad(b, c) : null
}
