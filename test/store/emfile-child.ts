// A process that may open few files: what the store does when there are no more. Prints what happened as JSON.
import { closeSync, openSync } from 'node:fs'
import { Fault } from '../../src/runtime/fault.ts'
import { sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { openTestStore } from './test-store.ts'

const LARGE = 1024 ** 2
const store = await openTestStore()
const send = async (octets: number): Promise<string> => {
  const id = store.newId()
  const writer = store.queue.beginBody(id)
  await writer.write(Buffer.alloc(octets, 'x'))
  try {
    const body = await writer.finish()
    const meta = sampleMeta(id, store.clock.now(), octets)
    await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
      lease: false,
    })
    return 'accepted'
  } catch (error) {
    return error instanceof Fault ? `${error.code}: ${error.message}` : String(error)
  }
}

const told: unknown[] = [await send(LARGE)]
const taken: number[] = []
try {
  for (;;) taken.push(openSync('/dev/null', 'r'))
} catch {
  // EMFILE: all that this process may open is open
}
told.push(await send(LARGE), store.queue.health().reason, await send(100))
for (const handle of taken) closeSync(handle)
for (let looks = 0; !store.queue.health().accepting && looks < 500; looks++) {
  await store.clock.advance(3000)
  await new Promise((resolve) => setTimeout(resolve, 5)) // real I/O is under way
}
told.push(store.queue.health().reason, await send(LARGE), await store.queue.counts(), store.faults.length)
told.push((await store.bodyFiles()).length)
await store.dispose()
process.stdout.write(JSON.stringify(told))
