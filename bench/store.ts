// What one life cycle in the embedded store costs: body in, enqueue (born leased), settle as delivered.
// Prints life cycles per second and CPU-ms per message of the whole process, all threads.
// Usage: node bench/store.ts [messages] [producers] [octets] [encrypt: 1 or 0]
import { createSecretKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../src/observability/log.ts'
import { createVault } from '../src/queue/sealing.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { createIdSource } from '../src/runtime/ids.ts'
import { systemRandom } from '../src/runtime/random.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { sampleEntry, sampleMeta, sampleRecipient } from '../test/contract/sample-message.ts'

const [messages = 20_000, producers = 100, octets = 10_240, encrypt = 1] = process.argv.slice(2).map(Number)
const dataDirectory = mkdtempSync(join(tmpdir(), 'store-bench-'))
const masterKeys = encrypt === 1 ? [{ id: 'bench', key: createSecretKey(systemRandom.bytes(32)) }] : []
const vault = createVault({ masterKeys, acceptUnencrypted: true }, systemRandom)
const store = await openSqliteStore(
  { clock: systemClock, random: systemRandom, log: silentLog, vault },
  { dataDirectory, memoryBudget: 128 * 1024 ** 2, diskReserve: 0, ballast: 0 },
)
const newId = createIdSource(systemClock, systemRandom)
const content = systemRandom.bytes(octets)
const waits: number[] = []

async function lifeCycle(): Promise<void> {
  const id = newId()
  const writer = store.queue.beginBody(id)
  for (let from = 0; from < octets; from += 65_536) {
    const wait = writer.write(content.subarray(from, Math.min(octets, from + 65_536)))
    if (wait !== null) await wait
  }
  const body = await writer.finish()
  const begun = performance.now()
  const meta = sampleMeta(id, systemClock.now(), body.sizeBytes)
  const claims = await store.queue.enqueue(
    { meta, recipients: [sampleRecipient('erika@example.org')], body },
    [sampleEntry(id, 'accepted', meta.acceptedAt)],
    { lease: true },
  )
  waits.push(performance.now() - begun)
  await store.queue.settle(
    claims.map((claim) => ({
      kind: 'done',
      claim,
      entries: [sampleEntry(id, 'delivered', systemClock.now())],
      notices: [],
    })),
  )
}

async function run(count: number): Promise<void> {
  let left = count
  const produce = async (): Promise<void> => {
    while (left-- > 0) await lifeCycle()
  }
  await Promise.all(Array.from({ length: producers }, produce))
}

try {
  await store.queue.start()
  await run(Math.min(2000, messages))
  waits.length = 0
  const cpu = process.cpuUsage()
  const begun = performance.now()
  await run(messages)
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpu)
  waits.sort((a, b) => a - b)
  const line = {
    messages,
    producers,
    octets,
    encrypted: vault.encrypts,
    lifeCyclesPerSecond: Math.round(messages / seconds),
    cpuMsPerMessage: Number(((user + system) / 1000 / messages).toFixed(4)),
    enqueueMsP50: Number((waits[Math.floor(waits.length / 2)] ?? 0).toFixed(2)),
    enqueueMsP99: Number((waits[Math.floor(waits.length * 0.99)] ?? 0).toFixed(2)),
    rssMb: Math.round(process.memoryUsage.rss() / 1024 ** 2),
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
} finally {
  await store.stop()
  rmSync(dataDirectory, { recursive: true })
}
