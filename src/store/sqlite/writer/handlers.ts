// All operations on the two databases, by name: what the writer thread and the command line run.

import { accountHandlers } from './account-handlers.ts'
import { controlHandlers } from './control-handlers.ts'
import type { Databases } from './database.ts'
import { eventHandlers } from './event-handlers.ts'
import { keyHandlers } from './key-handlers.ts'
import { listingHandlers } from './listing-handlers.ts'
import type { Operation, Operations, Route } from './protocol.ts'
import { queueHandlers } from './queue-handlers.ts'

/** Runs one operation. `octets` are those of its request, in the order in which `takes` counts them. */
export type Handler<K extends Operation> = (
  takes: Operations[K]['takes'],
  octets: Uint8Array,
) => Operations[K]['gives']

export type Handlers = { readonly [K in Operation]: Handler<K> }

export const ROUTES: Readonly<Record<Operation, Route>> = {
  begin: 'write',
  enqueue: 'write',
  claim: 'write',
  settle: 'write',
  release: 'write',
  hold: 'write',
  change: 'write',
  expireHeld: 'write',
  rewrap: 'write',
  append: 'write',
  expire: 'write',
  compact: 'read',
  makeRoom: 'read',
  recovered: 'read',
  body: 'read',
  known: 'read',
  keys: 'read',
  keyUsage: 'read',
  wrappedBy: 'read',
  nextDue: 'read',
  counts: 'read',
  position: 'read',
  list: 'read',
  trace: 'read',
  between: 'read',
  findCredential: 'config',
  findCustomer: 'config',
  listCustomers: 'config',
  putCustomer: 'config',
  putCredential: 'config',
  removeCredential: 'config',
  removeCustomer: 'config',
}

/** Prepares every statement. `onRecovered`: the main thread saw space again after a full disk. */
export function createHandlers(databases: Databases, onRecovered: () => void): Handlers {
  const events = eventHandlers(databases.queue)
  return {
    ...events.handlers,
    ...queueHandlers(databases.queue, events.insert),
    ...controlHandlers(databases.queue),
    ...keyHandlers(databases.queue),
    ...listingHandlers(databases.queue),
    ...accountHandlers(databases.config),
    recovered: () => {
      onRecovered()
      return null
    },
  }
}
