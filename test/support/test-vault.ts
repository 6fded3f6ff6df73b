// A vault with keys that everybody knows, the first id the current one.
import { createHash, createSecretKey } from 'node:crypto'
import { createVault, type MasterKey } from '../../src/queue/sealing.ts'
import type { Vault } from '../../src/queue/vault.ts'
import { systemRandom } from '../../src/runtime/random.ts'

export const testMasterKey = (id: string): MasterKey => ({
  id,
  key: createSecretKey(createHash('sha256').update(`master key ${id}`).digest()),
})

/** `acceptUnencrypted` is true unless told otherwise. */
export const testVault = (ids: readonly string[] = ['one'], acceptUnencrypted = true): Vault =>
  createVault({ masterKeys: ids.map(testMasterKey), acceptUnencrypted }, systemRandom)
