// The embedded store keeps the promises of the queue.
import { openTestStore } from '../store/test-store.ts'
import { queueContract } from './queue-contract.ts'

queueContract('embedded store', (vault) => openTestStore({ vault }))
