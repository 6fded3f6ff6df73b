// What lies where in the data directory, and the numbers both threads must agree on.
import { join } from 'node:path'
import { Fault } from '../../runtime/fault.ts'
import { isId } from '../../runtime/ids.ts'

/** Bodies up to this many octets lie in queue.db, larger ones in a file (store.md: cheaper up to 512 KB). */
export const INLINE_OCTETS_MAX = 256 * 1024

export const configPath = (dataDirectory: string): string => join(dataDirectory, 'config.db')
export const queuePath = (dataDirectory: string): string => join(dataDirectory, 'queue.db')
/** Locked for as long as a gateway runs here; the lock dies with the process. */
export const lockPath = (dataDirectory: string): string => join(dataDirectory, 'gateway.lock')
/** Space kept for the moment when the disk is full: SQLite needs some even to delete (store.md). */
export const ballastPath = (dataDirectory: string): string => join(dataDirectory, 'ballast')
export const spoolPath = (dataDirectory: string): string => join(dataDirectory, 'spool')
/** Made and removed to see whether files can be made. */
export const probePath = (dataDirectory: string): string => join(spoolPath(dataDirectory), 'probe')

/** Folder of a body file: the last two characters of its id, which are random. */
export const bodyFolder = (messageId: string): string => {
  if (!isId(messageId)) throw new Fault('internal', 'not a message id')
  return messageId.slice(-2)
}

export const bodyPath = (dataDirectory: string, messageId: string): string =>
  join(spoolPath(dataDirectory), bodyFolder(messageId), messageId)
