// A next hop that the operator names himself, in the configuration or on the command line, instead of the MX
// hosts of a domain. Pure; whether it may be used, and how safely, is decided in `delivery`.
import { isIP } from 'node:net'
import { type Domain, parseDomain } from './domain.ts'

/** The port is `null` when it is not given. */
export type FixedHost =
  | { readonly kind: 'address'; readonly host: string; readonly port: number | null }
  | { readonly kind: 'name'; readonly host: Domain; readonly port: number | null }

/** Parses `host:port`, `host`, `[2001:db8::1]:25`; `null` for anything else. */
export function parseFixedHost(text: string): FixedHost | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(text)
  if (!match) return null
  const port = match[3] === undefined ? null : Number(match[3])
  if (port !== null && (port < 1 || port > 65_535)) return null
  const address = match[1] ?? match[2] ?? ''
  if (isIP(address) !== 0) return { kind: 'address', host: address, port }
  const name = match[1] === undefined ? parseDomain(address) : null
  return name === null ? null : { kind: 'name', host: name, port }
}

/** The same as text, always with a port: how the queue keeps a route. @param port for a host that names none */
export const fixedHostText = ({ host, port: own }: FixedHost, port: number): string =>
  `${isIP(host) === 6 ? `[${host}]` : host}:${own ?? port}`
