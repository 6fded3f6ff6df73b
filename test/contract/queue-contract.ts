// The promises of the port `QueueStore`, as a suite that every implementation runs (house rule: one suite
// per port). It knows nothing of files and tables.
import { describe } from 'node:test'
import type { OpenStore } from './contract-store.ts'
import { lifePromises } from './life-promises.ts'
import { operatorPromises } from './operator-promises.ts'
import { sealingPromises } from './sealing-promises.ts'

/** `open` is called for each test, and what it gave is disposed of after it. */
export function queueContract(name: string, open: OpenStore): void {
  describe(`queue contract: ${name}`, () => {
    lifePromises(open)
    operatorPromises(open)
    sealingPromises(open)
  })
}
