// Can this sender domain receive mail (S6)? Asked at MAIL FROM, so that notifications have somewhere to go.
// A domain that could receive within the last 24 h is given the benefit of the doubt while DNS is in trouble.
// Says nothing about single mailboxes, internal names or no-reply patterns (submission/sender-policy).
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import type { Domain } from '../smtp/domain.ts'
import { resolveMx } from './mx.ts'
import type { Resolver } from './resolver.ts'

/**
 * `receives`: it has MX or address records, or a fixed route. `null-mx`: it says that it takes no mail (RFC 7505
 * §4.1, reply 550 5.7.27). `nothing`: no such domain, or no usable record. `unknown`: DNS cannot say; temporary.
 */
export type Receivability = 'receives' | 'null-mx' | 'nothing' | 'unknown'

export interface SenderDomainCheckDeps {
  readonly resolver: Resolver
  readonly random: Random
  readonly clock: Clock
  /** True for domains whose next hop the operator has configured: DNS is not asked. */
  readonly hasFixedRoute: (domain: Domain) => boolean
}

const REMEMBERED_MS = 86_400_000
const REMEMBERED_MAX = 20_000

/** The check, with a memory of domains that could receive. */
export function createSenderDomainCheck(
  deps: SenderDomainCheckDeps,
): (domain: Domain) => Promise<Receivability> {
  const { resolver, random, clock, hasFixedRoute } = deps
  const received = new BoundedMap<Domain, true>(clock, REMEMBERED_MAX)
  return async (domain) => {
    if (hasFixedRoute(domain)) return 'receives'
    const result = await resolveMx(resolver, random, domain)
    switch (result.kind) {
      case 'hosts':
        received.set(domain, true, REMEMBERED_MS)
        return 'receives'
      case 'null-mx':
        received.delete(domain)
        return 'null-mx'
      case 'no-domain':
      case 'no-host':
        received.delete(domain)
        return 'nothing'
      case 'trouble':
        return received.get(domain) ? 'receives' : 'unknown'
      default:
        return result satisfies never
    }
  }
}
