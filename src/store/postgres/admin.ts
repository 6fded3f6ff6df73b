// The command line's door to the shared store: customers, the journal, a look at the queue and orders to it. No
// run of its own: it can claim nothing and takes nothing over. Gateways learn of its changes at once (NOTIFY).
import type { AccountStore } from '../../accounts/store.ts'
import type { JournalStore } from '../../journal/store.ts'
import type { Log } from '../../observability/log.ts'
import { clearVault } from '../../queue/clear-vault.ts'
import type { MasterKeyControl, QueueControl } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import type { PostgresAddress } from '../settings.ts'
import { createAccounts } from './accounts.ts'
import { createQueueControl } from './control.ts'
import { createJournal } from './journal.ts'
import { MIGRATIONS } from './open.ts'
import { migrate } from './session/migrate.ts'
import { createOpener } from './session/opener.ts'
import { createPool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'
import { createGroupCommit } from './writer/group-commit.ts'

export interface PostgresAdmin {
  readonly accounts: AccountStore
  readonly queue: QueueControl & MasterKeyControl
  readonly journal: JournalStore
  close(): Promise<void>
}

const CONNECT_LIMIT_MS = 10_000
const silent: Log = { event: () => {} }

/**
 * Connects and migrates. Without the vault's keys a list shows no addresses of encrypted mail. Rejects with a
 * `Fault` when the database cannot be used.
 */
export async function openPostgresAdmin(
  address: PostgresAddress,
  clock: Clock = systemClock,
  vault: Vault = clearVault,
): Promise<PostgresAdmin> {
  const parts = { clock, random: systemRandom, log: silent }
  const open = createOpener(parts, address, 'command')
  const commits = createPool({ ...parts, open: open('commit') }, 1)
  const reads = createPool({ ...parts, open: open('read') }, 1)
  const close = async (): Promise<void> => {
    await Promise.all([commits.stop(), reads.stop()])
  }
  try {
    await Promise.all([commits.start(CONNECT_LIMIT_MS), reads.start(CONNECT_LIMIT_MS)])
    await commits.run((connection) => migrate(connection, MIGRATIONS))
  } catch (error) {
    await close()
    throw faultOf(error)
  }
  const doubts = { note: () => {} }
  const group = createGroupCommit({ pool: commits, clock, doubts, requireStandby: false })
  return {
    accounts: createAccounts(commits, reads),
    queue: createQueueControl({ commits, reads, clock, vault, onDue: () => {} }),
    journal: createJournal(reads, group),
    close,
  }
}
