// The stub resolver: asks recursive resolvers and turns what they say into answers with DNSSEC evidence.
// Resolvers are asked in order, those that do not answer again, up to `attempts` rounds; one that answers
// SERVFAIL or the like is not asked a second time. Whatever fails ends as `trouble`, nothing throws.
// Caches nothing (cache.ts) and does not recurse or validate itself: a validating resolver on a trusted path
// does (RFC 4035 §4.9.3, RFC 6840 §5.7; T3). Where the validation of one configured resolver is trusted, one
// that is not trusted is never asked instead: silence would be a way to switch DANE off.
import { getServers } from 'node:dns'
import type { Clock } from '../runtime/clock.ts'
import { createSemaphore } from '../runtime/limit.ts'
import type { Random } from '../runtime/random.ts'
import { type Decode, decodeA, decodeAaaa, decodeMx, decodeTlsa, decodeTxt, interpret } from './answer.ts'
import { type Exchange, exchangeTcp, exchangeUdp } from './exchange.ts'
import { createQuery, type Query, type QueryType } from './packet.ts'
import type { Answer, Resolver } from './resolver.ts'
import { type DnsSettings, parseResolverAddress, type ResolverAddress } from './settings.ts'

type ClientSettings = Pick<
  DnsSettings,
  'resolvers' | 'trustValidation' | 'timeout' | 'totalTimeout' | 'attempts'
>

interface Server extends ResolverAddress {
  readonly trusted: boolean
}

/** Open sockets at once, and look-ups waiting for one. */
const LOOKUPS_MAX = 128
const LOOKUPS_WAITING_MAX = 4096

const isLoopback = (address: string): boolean => address === '::1' || /^(?:::ffff:)?127\./.test(address)

/** Those whose validation is trusted when there are any, else all. */
function chooseServers(settings: ClientSettings): readonly Server[] {
  const configured =
    settings.resolvers.length > 0
      ? settings.resolvers
      : getServers().flatMap((text) => parseResolverAddress(text) ?? [])
  const servers = configured.map(({ address, port }) => ({
    address,
    port,
    trusted:
      settings.trustValidation === 'always' ||
      (settings.trustValidation === 'loopback' && isLoopback(address)),
  }))
  const trusted = servers.filter((server) => server.trusted)
  return trusted.length > 0 ? trusted : servers
}

/**
 * A resolver on the network. `stop` ends what is under way (as trouble); later look-ups are trouble too.
 * At most 128 look-ups are under way at once; further ones wait within their own `totalTimeout`.
 */
export function createResolver(deps: { clock: Clock; random: Random }, settings: ClientSettings): Resolver {
  const { clock, random } = deps
  const servers = chooseServers(settings)
  const closing = new AbortController()
  const places = createSemaphore(LOOKUPS_MAX, LOOKUPS_WAITING_MAX)

  /** One server once: UDP, and TCP when the answer was cut off. */
  const askServer = async (server: Server, query: Query, limitMs: number): Promise<Exchange> => {
    const deadline = clock.monotonic() + limitMs
    const overUdp = await exchangeUdp(clock, server, query, limitMs, closing.signal)
    if (overUdp.kind === 'failed' || !overUdp.response.truncated) return overUdp
    return exchangeTcp(clock, server, query, Math.max(0, deadline - clock.monotonic()), closing.signal)
  }

  const askAll = async <T>(
    name: string,
    type: QueryType,
    decode: Decode<T>,
    deadline: number,
  ): Promise<Answer<T>> => {
    let reason = servers.length === 0 ? 'no resolver is configured' : 'no time left'
    const spoken = new Set<Server>()
    for (let attempt = 0; attempt < settings.attempts; attempt++) {
      for (const server of servers) {
        if (spoken.has(server)) continue
        const limitMs = Math.min(settings.timeout, deadline - clock.monotonic())
        if (limitMs <= 0 || closing.signal.aborted) return { kind: 'trouble', reason }
        const query = createQuery(random, name, type)
        if (!query) return { kind: 'trouble', reason: 'not a name that DNS can be asked for' }
        const exchange = await askServer(server, query, limitMs)
        if (exchange.kind === 'failed') {
          reason = exchange.reason
          continue
        }
        const answer = interpret(exchange.response, query, decode, server.trusted)
        if (answer.kind !== 'trouble') return answer
        reason = answer.reason
        spoken.add(server)
      }
    }
    return { kind: 'trouble', reason }
  }

  const lookUp = async <T>(name: string, type: QueryType, decode: Decode<T>): Promise<Answer<T>> => {
    const deadline = clock.monotonic() + settings.totalTimeout
    const release = await places.acquire()
    if (!release) return { kind: 'trouble', reason: 'too many look-ups at once' }
    try {
      return await askAll(name, type, decode, deadline)
    } finally {
      release()
    }
  }

  return {
    mx: (name) => lookUp(name, 'MX', decodeMx),
    a: (name) => lookUp(name, 'A', decodeA),
    aaaa: (name) => lookUp(name, 'AAAA', decodeAaaa),
    txt: (name) => lookUp(name, 'TXT', decodeTxt),
    tlsa: (name) => lookUp(name, 'TLSA', decodeTlsa),
    stop: () => closing.abort(),
  }
}
