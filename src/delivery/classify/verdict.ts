// When no host took a message: which of the failures stands for all of them. Pure.
//
// Among the addresses of one host, what a host said counts more than silence. Among hosts, "no encrypted
// path" stands only when it is true of every host (product row T1): one host that could not be reached may
// well offer TLS, so then the trouble is the connection, and the long schedule applies. A host with TLS that
// said "later" wins over everything: there is an encrypted path.
import type { Failure } from '../../queue/outcome.ts'

export interface HostFailure {
  /** `null` for trouble that is no host's, such as DNS. */
  readonly host: string | null
  readonly failure: Failure
}

type Weight = 'dialogue' | 'not-authenticated' | 'connection' | 'no-tls'

const WITHIN_HOST: readonly Weight[] = ['dialogue', 'not-authenticated', 'no-tls', 'connection']
const AMONG_HOSTS: readonly Weight[] = ['dialogue', 'not-authenticated', 'connection', 'no-tls']

function weigh(failure: Failure): Weight {
  if (failure.cause === 'no-encrypted-path') return 'no-tls'
  if (failure.cause === 'peer-not-authenticated') return 'not-authenticated'
  return failure.evidence === null ? 'connection' : 'dialogue'
}

/** The failure that stands for all; the last one of those that weigh the same. `null` for an empty list. */
export function standingFailure(failures: readonly HostFailure[]): Failure | null {
  const hosts = Map.groupBy(failures, (entry) => entry.host)
  const perHost = [...hosts.values()].map((entries) =>
    heaviest(
      entries.map(({ failure }) => failure),
      WITHIN_HOST,
    ),
  )
  return heaviest(
    perHost.filter((failure) => failure !== null),
    AMONG_HOSTS,
  )
}

function heaviest(failures: readonly Failure[], order: readonly Weight[]): Failure | null {
  let best: Failure | null = null
  for (const failure of failures) {
    if (best === null || order.indexOf(weigh(failure)) <= order.indexOf(weigh(best))) best = failure
  }
  return best
}
