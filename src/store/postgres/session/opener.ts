// Opens connections for one gateway: with a name of their own each, and to the host after the one that was used
// last. A primary that was cut off from its standby still takes connections; whoever just lost one there must
// look elsewhere first. A host that is no primary is passed over at once.
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import type { PostgresAddress } from '../../settings.ts'
import { type Connection, openConnection } from './connection.ts'

export interface OpenerDeps {
  readonly clock: Clock
  readonly random: Random
}

/** Names are cut at 63 octets by the server. */
const NODE_NAME_MAX = 32

export function createOpener(
  { clock, random }: OpenerDeps,
  address: PostgresAddress,
  nodeName: string,
): (use: 'commit' | 'read') => () => Promise<Connection> {
  return (use) => {
    let next = 0
    return async () => {
      const { hosts } = address
      const label = `secure-transport ${nodeName.slice(0, NODE_NAME_MAX)} ${random.bytes(6).toString('hex')}`
      const ordered = [...hosts.slice(next), ...hosts.slice(0, next)]
      const connection = await openConnection(clock, address, ordered, { use, label })
      connection.onGone(() => {
        next = (hosts.findIndex((host) => connection.place === placeOf(host)) + 1) % hosts.length
      })
      next = hosts.findIndex((host) => connection.place === placeOf(host))
      return connection
    }
  }
}

const placeOf = ({ host, port }: PostgresAddress['hosts'][number]): string =>
  host.startsWith('/') ? host : `${host}:${port}`
