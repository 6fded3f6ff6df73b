// The command line's door to the embedded store while the gateway runs in another process: customers, the
// journal, a look at the queue. No lock, no incarnation: it can claim nothing and takes nothing over.
import type { AccountStore } from '../../accounts/store.ts'
import type { JournalStore } from '../../journal/store.ts'
import { clearVault } from '../../queue/clear-vault.ts'
import type { MasterKeyControl, QueueControl } from '../../queue/store.ts'
import type { Vault } from '../../queue/vault.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { Fault } from '../../runtime/fault.ts'
import { createAccounts } from './accounts.ts'
import { createQueueControl } from './control.ts'
import { createJournal } from './journal.ts'
import { openDatabases } from './writer/database.ts'
import { createGroupCommit } from './writer/group-commit.ts'
import { createHandlers } from './writer/handlers.ts'
import type { Executor } from './writer/protocol.ts'

export interface SqliteAdmin {
  readonly accounts: AccountStore
  readonly queue: QueueControl & MasterKeyControl
  readonly journal: JournalStore
  close(): void
}

const CACHE_OCTETS = 8 * 1024 * 1024

/**
 * Opens the databases in this process, creating and migrating them when needed. Synchronous underneath:
 * made for a command that does one thing. Without the
 * vault's keys a list shows no addresses of encrypted mail. Throws a `Fault` when they cannot be used.
 */
export function openSqliteAdmin(
  dataDirectory: string,
  clock: Clock = systemClock,
  vault: Vault = clearVault,
): SqliteAdmin {
  const databases = openDatabases(dataDirectory, CACHE_OCTETS)
  const group = createGroupCommit({
    queue: databases.queue,
    handlers: createHandlers(databases, () => {}),
    dropBallast: () => false,
    onFull: () => {},
    onBroken: () => {},
  })
  const executor: Executor = {
    request: (operation, takes, octets = []) =>
      new Promise((resolve, reject) => {
        const whole = Buffer.concat(octets)
        const request = { id: 0, operation, takes, from: 0, size: whole.length }
        group.run([{ request, octets: whole }], ([answer]) => {
          if (answer?.kind === 'result') resolve(answer.gives as never) // the pair that `operation` names
          if (answer?.kind === 'fault') reject(new Fault(answer.code, answer.message))
        })
      }),
  }
  return {
    accounts: createAccounts(executor),
    // A gateway that runs looks for due work every two seconds.
    queue: createQueueControl({ executor, clock, vault, onDue: () => {} }),
    journal: createJournal(executor),
    close: () => databases.close(),
  }
}
