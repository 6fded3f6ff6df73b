// Where one message for one domain can go: addresses in order of trial, or why nowhere. Made before any
// socket exists. RFC 5321 §5.1, RFC 7505; product rows T7, T9.
//
// Order: hosts by preference (equals shuffled by dns/mx), the addresses of each host with IPv6 and IPv4 taking
// turns. A host of ours among the MX hosts drops itself and all that are not preferred to it (§5.1 loop
// rule). Addresses that the guard forbids are dropped; an address fixed by the operator is his decision.
// A route that an operator gave to single deliveries goes before the hosts of a partner, these before MX hosts.
import { type AddressResult, resolveAddresses, resolveMx } from '../dns/mx.ts'
import type { Resolver } from '../dns/resolver.ts'
import type { Failure } from '../queue/outcome.ts'
import type { Random } from '../runtime/random.ts'
import type { Domain } from '../smtp/domain.ts'
import { type FixedHost, parseFixedHost } from '../smtp/fixed-host.ts'
import type { AddressGuard } from './address-guard.ts'
import { ownFailure } from './classify.ts'
import type { Target } from './client/session.ts'
import type { Partner } from './settings.ts'

export type Plan =
  | {
      readonly kind: 'targets'
      /** Never empty; addresses of one host stand together. */
      readonly targets: readonly Target[]
      /** Trouble in finding the addresses of some host: then the rest does not speak for all hosts. */
      readonly incomplete: Failure | null
    }
  | { readonly kind: 'nowhere'; readonly failure: Failure }

export interface PlannerDeps {
  readonly resolver: Resolver
  readonly random: Random
  readonly guard: AddressGuard
  /** Our own name among the MX hosts means a loop. */
  readonly hostname: Domain
}

/** What one attempt tries at most; a domain that needs more is not better served by more. */
const HOSTS_MAX = 8
const ADDRESSES_PER_HOST_MAX = 6
const TARGETS_MAX = 16

export interface Planner {
  /** @param route `host:port` that an operator chose for this delivery, `null` in the normal case */
  plan(domain: Domain, partner: Partner | null, route: string | null): Promise<Plan>
}

/** @param port of MX hosts, and of fixed hosts that name none */
export function createPlanner(deps: PlannerDeps, port: number): Planner {
  return {
    async plan(domain, partner, route) {
      if (route !== null) {
        const host = parseFixedHost(route)
        if (host === null) return misrouted(route, 'it is no host and port.')
        const plan = await planHosts(deps, [host], port)
        return plan.kind === 'targets' ? plan : misrouted(route, plan.failure.detail)
      }
      if (partner !== null && partner.hosts.length > 0) {
        return planHosts(deps, partner.hosts.slice(0, HOSTS_MAX), port)
      }
      const mx = await resolveMx(deps.resolver, deps.random, domain)
      switch (mx.kind) {
        case 'hosts': {
          const own = mx.hosts.find((host) => host.name === deps.hostname)
          const hosts = mx.hosts.filter((host) => own === undefined || host.preference < own.preference)
          if (hosts.length === 0) {
            return nowhere('failed', '5.4.6', 'loop', 'The best mail server of the domain is this gateway.')
          }
          const named = hosts
            .slice(0, HOSTS_MAX)
            .map(({ name }) => ({ kind: 'name', host: name, port }) as const)
          return planHosts(deps, named, port)
        }
        case 'null-mx':
          return nowhere('failed', '5.1.10', 'domain-takes-no-mail', 'The domain takes no mail (null MX).')
        case 'no-domain':
          return nowhere('failed', '5.1.2', 'domain-unknown', 'The domain does not exist.')
        case 'no-host':
          return nowhere('failed', '5.4.4', 'domain-unknown', `The domain has no mail server: ${mx.reason}.`)
        case 'trouble':
          return nowhere('deferred', '4.4.3', 'dns-trouble', `DNS gave no answer: ${mx.reason}.`)
        default:
          return mx satisfies never
      }
    },
  }
}

const nowhere = (
  kind: Failure['kind'],
  status: Failure['status'],
  cause: Failure['cause'],
  detail: string,
): Extract<Plan, { kind: 'nowhere' }> => ({
  kind: 'nowhere',
  failure: ownFailure(kind, 'domain', status, cause, detail),
})

/** An operator's slip must not fail anybody's mail: it waits until he sees and corrects it. */
const misrouted = (route: string, why: string): Plan =>
  nowhere(
    'deferred',
    '4.3.5',
    'local-fault',
    `The route ${route} that an operator chose leads nowhere: ${why}`,
  )

async function planHosts(deps: PlannerDeps, hosts: readonly FixedHost[], port: number): Promise<Plan> {
  const found = await Promise.all(hosts.map((host) => addressesOf(deps, host)))
  const targets: Target[] = []
  const forbidden: string[] = []
  let trouble: Failure | null = null
  for (const [index, result] of found.entries()) {
    const host = hosts[index]
    if (host === undefined || result.kind === 'none') continue
    if (result.kind === 'trouble') {
      const detail = `DNS gave no answer: ${result.reason}.`
      trouble = ownFailure('deferred', 'domain', '4.4.3', 'dns-trouble', detail)
      continue
    }
    for (const address of alternating(result.ipv6, result.ipv4).slice(0, ADDRESSES_PER_HOST_MAX)) {
      const what = host.kind === 'address' ? null : deps.guard(address)
      if (what === null) targets.push({ host: host.host, address, port: host.port ?? port })
      else forbidden.push(`the address ${address} of ${host.host} is ${what}`)
    }
  }
  if (targets.length > 0)
    return { kind: 'targets', targets: targets.slice(0, TARGETS_MAX), incomplete: trouble }
  if (trouble !== null) return { kind: 'nowhere', failure: trouble }
  if (forbidden.length > 0) {
    const detail = `No address of the domain's mail servers may be used: ${forbidden.slice(0, 5).join(', ')}.`
    return nowhere('failed', '5.4.4', 'address-not-allowed', detail)
  }
  return nowhere('failed', '5.4.4', 'domain-unknown', "None of the domain's mail servers has an address.")
}

function addressesOf(deps: PlannerDeps, host: FixedHost): Promise<AddressResult> {
  if (host.kind === 'name') return resolveAddresses(deps.resolver, host.host)
  const isIpv6 = host.host.includes(':')
  return Promise.resolve({
    kind: 'addresses',
    ipv4: isIpv6 ? [] : [host.host],
    ipv6: isIpv6 ? [host.host] : [],
    secure: false,
  })
}

/** First of one, first of the other, second of one, … */
function alternating(first: readonly string[], second: readonly string[]): string[] {
  const mixed: string[] = []
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    const [one, other] = [first[index], second[index]]
    if (one !== undefined) mixed.push(one)
    if (other !== undefined) mixed.push(other)
  }
  return mixed
}
