// Rules between keys: what each key alone allows, but not together, and what works but is probably not
// meant. Pure: looks at no file, no network. Files are looked at by `files.ts`.
import { isIP } from 'node:net'
import { parseDomain } from '../smtp/domain.ts'
import type { KeyPath } from './reference.ts'
import type { WrittenConfiguration } from './schema.ts'

/** A finding about one key of a configuration that is well-formed. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly path: KeyPath
  readonly text: string
}

const error = (path: KeyPath, text: string): Finding => ({ severity: 'error', path, text })
const warning = (path: KeyPath, text: string): Finding => ({ severity: 'warning', path, text })

/** All findings, in the order of the file. */
export const checkRules = (configuration: WrittenConfiguration): Finding[] => [
  ...hostnameFindings(configuration),
  ...listenerFindings(configuration),
  ...submissionFindings(configuration),
  ...scannerFindings(configuration),
  ...clusterFindings(configuration),
  ...orderFindings(configuration),
  ...deliveryFindings(configuration),
  ...httpFindings(configuration),
]

function hostnameFindings({ hostname }: WrittenConfiguration): Finding[] {
  return hostname.includes('.')
    ? []
    : [warning(['hostname'], `"${hostname}" has no domain; other mail servers expect a full host name`)]
}

function listenerFindings({ listeners }: WrittenConfiguration): Finding[] {
  const findings: Finding[] = []
  const taken = new Set<string>()
  for (const [index, { address, port, encryption }] of listeners.entries()) {
    const place = `${address} port ${port}`
    if (isIP(address) === 0) {
      findings.push(
        error(['listeners', index, 'address'], `"${address}" is not allowed; allowed: an IP address`),
      )
    }
    if (port !== 0 && taken.has(place)) {
      findings.push(error(['listeners', index, 'port'], `${place} stands in another listener too`))
    }
    taken.add(place)
    if (port === 465 && encryption === 'starttls') {
      findings.push(
        warning(['listeners', index], 'clients expect encryption: implicit on port 465 (RFC 8314)'),
      )
    }
    if ((port === 587 || port === 25) && encryption === 'implicit') {
      findings.push(warning(['listeners', index], `clients expect encryption: starttls on port ${port}`))
    }
  }
  return findings
}

function submissionFindings({ submission }: WrittenConfiguration): Finding[] {
  return submission.internalDomains.flatMap((text, index) =>
    parseDomain(text) === null
      ? [
          error(
            ['submission', 'internalDomains', index],
            `"${text}" is not allowed; allowed: a domain such as local or fritz.box`,
          ),
        ]
      : [],
  )
}

const scannerFindings = ({ scanner }: WrittenConfiguration): Finding[] =>
  scanner.kind === 'none' ? [warning(['scanner', 'kind'], 'is none: mail passes without a virus scan')] : []

/** A node must have fallen silent before others take over, and one lost heartbeat must not silence it. */
function clusterFindings({ cluster }: WrittenConfiguration): Finding[] {
  const { heartbeat, fenceAfter, deadAfter } = cluster
  const findings: Finding[] = []
  if (fenceAfter >= deadAfter) {
    findings.push(
      error(['cluster', 'fenceAfter'], 'must be less than cluster.deadAfter: mail could go out twice'),
    )
  }
  if (heartbeat * 2 > fenceAfter) {
    findings.push(error(['cluster', 'heartbeat'], 'must be at most half of cluster.fenceAfter'))
  }
  return findings
}

/** Durations and counts of which one bounds the other: harmless when it does, but hardly meant. */
function orderFindings({ delivery, dns, submission }: WrittenConfiguration): Finding[] {
  const ordered: readonly [number, KeyPath, number, KeyPath][] = [
    [dns.timeout, ['dns', 'timeout'], dns.totalTimeout, ['dns', 'totalTimeout']],
    [delivery.retry.first, ['delivery', 'retry', 'first'], delivery.retry.max, ['delivery', 'retry', 'max']],
    [
      delivery.destinationRetry.first,
      ['delivery', 'destinationRetry', 'first'],
      delivery.destinationRetry.max,
      ['delivery', 'destinationRetry', 'max'],
    ],
    [
      submission.sessionsPerClientMax,
      ['submission', 'sessionsPerClientMax'],
      submission.sessionsMax,
      ['submission', 'sessionsMax'],
    ],
    [
      delivery.sessionsPerDestinationMax,
      ['delivery', 'sessionsPerDestinationMax'],
      delivery.sessionsMax,
      ['delivery', 'sessionsMax'],
    ],
    [delivery.tlsRetryWindow, ['delivery', 'tlsRetryWindow'], delivery.lifetime, ['delivery', 'lifetime']],
  ]
  return ordered
    .filter(([smaller, , larger]) => smaller > larger)
    .map(([, smallerPath, , largerPath]) =>
      warning(smallerPath, `is more than ${largerPath.join('.')}, which ends it`),
    )
}

function deliveryFindings({ delivery, partners }: WrittenConfiguration): Finding[] {
  const findings: Finding[] = []
  if (delivery.port !== 25) {
    findings.push(warning(['delivery', 'port'], 'is not 25: real mail servers will not be reached'))
  }
  if (delivery.delayNoticeAfter >= delivery.lifetime) {
    findings.push(
      warning(['delivery', 'delayNoticeAfter'], 'is not before delivery.lifetime: no such notice is sent'),
    )
  }
  const domains = partners.map(({ domain }) => domain)
  for (const [index, domain] of domains.entries()) {
    if (domains.indexOf(domain) !== index) {
      findings.push(error(['partners', index, 'domain'], `"${domain}" stands in another agreement too`))
    }
  }
  return findings
}

function httpFindings({ http, listeners }: WrittenConfiguration): Finding[] {
  if (!http.enabled) return []
  const findings: Finding[] = []
  if (isIP(http.address) === 0) {
    findings.push(error(['http', 'address'], `"${http.address}" is not allowed; allowed: an IP address`))
  } else if (!isLoopback(http.address)) {
    findings.push(
      warning(
        ['http', 'address'],
        'is not a loopback address: whoever reaches it can read health and figures',
      ),
    )
  }
  if (http.port !== 0 && listeners.some(({ port }) => port === http.port)) {
    findings.push(error(['http', 'port'], `port ${http.port} stands in a listener too`))
  }
  return findings
}

const isLoopback = (address: string): boolean => address === '::1' || /^127\./.test(address)
