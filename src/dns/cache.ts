// Remembers answers for as long as their lifetime allows, and joins identical questions that are under way.
// RFC 1035 §7.4, RFC 2308 §5 and §7 (negative answers and failures). Knows nothing of the network.
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Answer, Resolver } from './resolver.ts'
import type { DnsSettings } from './settings.ts'

/** Even a lifetime of zero is kept this long: one mail causes the same question several times. */
const LIFE_MIN_MS = 5_000
const LIFE_MAX_MS = 86_400_000
const NEGATIVE_LIFE_MAX_MS = 3_600_000
/** Long enough to spare a broken zone a storm, short enough for the first retry to be a real one. */
const TROUBLE_LIFE_MS = 5_000

function lifeMs(answer: Answer<unknown>): number {
  switch (answer.kind) {
    case 'records':
      return Math.min(Math.max(answer.ttlSeconds * 1000, LIFE_MIN_MS), LIFE_MAX_MS)
    case 'no-data':
    case 'no-name':
      return Math.min(Math.max(answer.ttlSeconds * 1000, LIFE_MIN_MS), NEGATIVE_LIFE_MAX_MS)
    case 'trouble':
      return TROUBLE_LIFE_MS
    default:
      return answer satisfies never
  }
}

/** One record type: `ask` through a cache of `entriesMax` answers. */
function cached<N extends string, T>(
  ask: (name: N) => Promise<Answer<T>>,
  clock: Clock,
  entriesMax: number,
): (name: N) => Promise<Answer<T>> {
  const answers = new BoundedMap<N, Answer<T>>(clock, entriesMax)
  const underWay = new Map<N, Promise<Answer<T>>>()
  const askAndKeep = async (name: N): Promise<Answer<T>> => {
    try {
      const answer = await ask(name)
      answers.set(name, answer, lifeMs(answer))
      return answer
    } finally {
      underWay.delete(name)
    }
  }
  return (name) => {
    const known = answers.get(name)
    if (known) return Promise.resolve(known)
    const running = underWay.get(name)
    if (running) return running
    const started = askAndKeep(name)
    underWay.set(name, started)
    return started
  }
}

/**
 * `resolver` behind a cache of `cacheEntriesMax` answers per record type. Records live as long as their TTL (5 s
 * to 1 day), negative answers at most 1 h, trouble 5 s. `ttlSeconds` in an answer is that of the first look-up.
 * `stop` stops the resolver.
 */
export function createCachingResolver(
  resolver: Resolver,
  clock: Clock,
  settings: Pick<DnsSettings, 'cacheEntriesMax'>,
): Resolver {
  const { cacheEntriesMax } = settings
  return {
    mx: cached(resolver.mx, clock, cacheEntriesMax),
    a: cached(resolver.a, clock, cacheEntriesMax),
    aaaa: cached(resolver.aaaa, clock, cacheEntriesMax),
    txt: cached(resolver.txt, clock, cacheEntriesMax),
    tlsa: cached(resolver.tlsa, clock, cacheEntriesMax),
    stop: () => resolver.stop(),
  }
}
