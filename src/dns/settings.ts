// Settings of the DNS room: which resolvers are asked, how long, and whose DNSSEC validation is believed.
// Parses the text form of resolver addresses; opens nothing.
import { isIP } from 'node:net'
import { z } from 'zod'
import { count, duration } from '../runtime/settings.ts'

/** Where a resolver listens, for UDP and TCP alike. */
export interface ResolverAddress {
  /** IPv4 or IPv6 address as text, without brackets. */
  readonly address: string
  readonly port: number
}

const DNS_PORT = 53

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`; `null` for anything else, host names too. */
export function parseResolverAddress(text: string): ResolverAddress | null {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT }
  const parts = /^(?:\[([^\]]+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/.exec(text)
  if (!parts) return null
  const [, ipv6, ipv4, portText] = parts
  const port = portText === undefined ? DNS_PORT : Number(portText)
  if (port < 1 || port > 65_535) return null
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? { address: ipv6, port } : null
  return ipv4 !== undefined && isIP(ipv4) === 4 ? { address: ipv4, port } : null
}

const resolverAddress = z.string().transform((text, context): ResolverAddress => {
  const address = parseResolverAddress(text)
  if (address) return address
  context.addIssue({
    code: 'custom',
    message: 'an address such as 127.0.0.1, 192.0.2.1:5353 or [2001:db8::1]:53',
  })
  return z.NEVER
})

export const dnsSettings = z.strictObject({
  resolvers: z
    .array(resolverAddress)
    .max(8, { error: 'at most 8 resolvers' })
    .default([])
    .meta({
      description:
        'Resolvers in the order in which they are asked: address, or address:port. Empty: those of the system. ' +
        'When the DNSSEC validation of some of them is trusted (trustValidation), only those are asked.',
      reload: 'restart',
    }),
  trustValidation: z
    .enum(['loopback', 'always', 'never'], { error: 'one of loopback, always, never' })
    .default('loopback')
    .meta({
      description:
        'Whose "authentic data" mark counts as DNSSEC evidence: that of resolvers on loopback addresses, of all ' +
        '(the network in between must be trusted as well), or of none. Without it there is no DANE.',
      reload: 'restart',
    }),
  timeout: duration(
    '5s',
    { min: '100ms', max: '60s' },
    { description: 'How long one resolver may take to answer one question.', reload: 'restart' },
  ),
  totalTimeout: duration(
    '15s',
    { min: '100ms', max: '5min' },
    { description: 'How long one question may take with all repetitions and resolvers.', reload: 'restart' },
  ),
  attempts: count(
    2,
    { min: 1, max: 10 },
    { description: 'How often each resolver that does not answer is asked.', reload: 'restart' },
  ),
  cacheEntriesMax: count(
    20_000,
    { min: 0, max: 1_000_000 },
    { description: 'How many answers of each record type are remembered.', reload: 'restart' },
  ),
})

export type DnsSettings = z.output<typeof dnsSettings>
