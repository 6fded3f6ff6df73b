// The vault of a gateway without a master key: everything passes through as it is. Mail that was queued before
// encryption was switched on is read this way, too.
import { Fault } from '../runtime/fault.ts'
import type { BodyPipe, MessageKey, Vault } from './vault.ts'

const NOTHING = new Uint8Array(0)

const passThrough = (): BodyPipe => ({ write: (chunk) => [chunk], end: () => [] })

/** The key of a message that is not encrypted. */
export const clearKey: MessageKey = {
  masterKeyId: '',
  wrapped: NOTHING,
  seal: (_, plain) => plain,
  open: (_, sealed) => Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length),
  sealBody: passThrough,
  openBody: passThrough,
}

/** Encrypts nothing. What an earlier configuration encrypted it cannot open. */
export const clearVault: Vault = {
  encrypts: false,
  masterKeyIds: [],
  createKey: () => clearKey,
  openKey: (_, masterKeyId) => openClear(masterKeyId),
  rewrap: (_, masterKeyId) => openClear(masterKeyId),
}

function openClear(masterKeyId: string): MessageKey {
  if (masterKeyId === '') return clearKey
  throw new Fault('spool-unreadable', `the master key ${masterKeyId} is not at hand`)
}
