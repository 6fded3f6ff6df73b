// How many sessions there are, in all and from one client network (S7 beyond, threats.md).
import { isIPv6 } from 'node:net'

export interface ClientLimits {
  /** Counts a new session; which limit it breaks, or `null`. A refused session is not counted. */
  enter(client: string): 'server' | 'client' | null
  leave(client: string): void
  readonly sessions: number
}

/** What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
export function clientNetwork(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail = ''] = address.toLowerCase().split('::')
  const groups = head.split(':').filter(Boolean)
  const behind = address.includes('::') ? tail.split(':').filter(Boolean) : []
  while (groups.length + behind.length < 8) groups.push('0')
  return `${[...groups, ...behind]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

export function createClientLimits(limits: {
  sessionsMax: number
  sessionsPerClientMax: number
}): ClientLimits {
  const perClient = new Map<string, number>()
  let sessions = 0
  return {
    enter(client) {
      const network = clientNetwork(client)
      const own = perClient.get(network) ?? 0
      if (sessions >= limits.sessionsMax) return 'server'
      if (own >= limits.sessionsPerClientMax) return 'client'
      perClient.set(network, own + 1)
      sessions++
      return null
    },
    leave(client) {
      const network = clientNetwork(client)
      const own = perClient.get(network) ?? 0
      if (own <= 1) perClient.delete(network)
      else perClient.set(network, own - 1)
      sessions--
    },
    get sessions() {
      return sessions
    },
  }
}
