// A process that fills and drains a store until it is killed. It says on standard output what it was promised,
// after each promise and never before: `accepted ID`, `settling ID` (may or may not happen), `settled ID`.
import { writeSync } from 'node:fs'
import { silentLog } from '../../src/observability/log.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { openSqliteStore } from '../../src/store/sqlite/open.ts'
import { sampleEntry, sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { testVault } from '../support/test-vault.ts'
import { contentOf } from './content.ts'

const PRODUCERS = 24
const dataDirectory = process.argv[2] ?? ''
const say = (line: string): void => void writeSync(1, `${line}\n`)

const store = await openSqliteStore(
  { clock: systemClock, random: systemRandom, log: silentLog, vault: testVault() },
  { dataDirectory, memoryBudget: 8 * 1024 ** 2, diskReserve: 0, ballast: 0 },
)
await store.queue.start()
const newId = createIdSource(systemClock, systemRandom)

async function produce(): Promise<never> {
  for (;;) {
    const id = newId()
    const content = contentOf(id)
    const writer = store.queue.beginBody(id)
    await writer.write(content)
    const body = await writer.finish()
    const meta = sampleMeta(id, systemClock.now(), body.sizeBytes)
    const recipients = [sampleRecipient('a@example.org')]
    const entries = [sampleEntry(id, 'accepted', meta.acceptedAt)]
    const [claim] = await store.queue.enqueue({ meta, recipients, body }, entries, { lease: true })
    say(`accepted ${id}`)
    if (claim === undefined || systemRandom.fraction() < 0.5) continue
    say(`settling ${id}`)
    await store.queue.settle([{ kind: 'done', claim, entries: [], notices: [] }])
    say(`settled ${id}`)
  }
}

await Promise.all(Array.from({ length: PRODUCERS }, produce))
