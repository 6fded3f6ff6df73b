// What one life cycle costs: body in, enqueue (born leased), settle as delivered. And filling a queue with mail
// that waits.
import type { QueueStore } from '../../src/queue/store.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { sampleEntry, sampleMeta, sampleRecipient } from '../../test/contract/sample-message.ts'
import { cpuMs } from '../process-tree.ts'

export interface LifeCycleFigures {
  readonly perSecond: number
  /** User and system time of this process, all its threads. */
  readonly cpuMsPerMessage: number
  /** The same of its children: the database, when it was started here. */
  readonly databaseCpuMsPerMessage: number
  /** From `enqueue` to its promise: what a sender waits for. */
  readonly enqueueMsP50: number
  readonly enqueueMsP99: number
}

export interface Load {
  readonly messages: number
  readonly producers: number
  readonly octets: number
}

const newId = createIdSource(systemClock, systemRandom)

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN

export async function measureLifeCycles(queue: QueueStore, load: Load): Promise<LifeCycleFigures> {
  const content = systemRandom.bytes(load.octets)
  await inParallel(load.producers, Math.ceil(load.messages / 10), () => lifeCycle(queue, content))
  const waits: number[] = []
  const cpu = process.cpuUsage()
  const tree = cpuMs([process.pid])
  const begun = performance.now()
  await inParallel(
    load.producers,
    load.messages,
    async () => void waits.push(await lifeCycle(queue, content)),
  )
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const ownMs = (user + system) / 1000
  return {
    perSecond: load.messages / seconds,
    cpuMsPerMessage: ownMs / load.messages,
    databaseCpuMsPerMessage: Math.max(0, cpuMs([process.pid]) - tree - ownMs) / load.messages,
    enqueueMsP50: percentile(waits, 0.5),
    enqueueMsP99: percentile(waits, 0.99),
  }
}

/** Ms that `enqueue` took. */
async function lifeCycle(queue: QueueStore, content: Uint8Array): Promise<number> {
  const id = newId()
  const body = await spool(queue, id, content)
  const meta = sampleMeta(id, systemClock.now(), body.sizeBytes)
  const begun = performance.now()
  const claims = await queue.enqueue(
    { meta, recipients: [sampleRecipient('erika@example.org')], body },
    [sampleEntry(id, 'accepted', meta.acceptedAt)],
    { lease: true },
  )
  const waited = performance.now() - begun
  const entries = [sampleEntry(id, 'delivered', systemClock.now())]
  await queue.settle(claims.map((claim) => ({ kind: 'done', claim, entries, notices: [] })))
  return waited
}

async function spool(queue: QueueStore, id: string, content: Uint8Array) {
  const writer = queue.beginBody(id)
  for (let from = 0; from < content.length; from += 65_536) {
    const wait = writer.write(content.subarray(from, from + 65_536))
    if (wait !== null) await wait
  }
  return writer.finish()
}

const DOMAINS = 1000
const PER_MESSAGE = 10
const WAITING_OCTETS = 1024

/** Queues `deliveries` (ten to a message, a thousand domains), due when the store's clock says now. */
export async function fill(queue: QueueStore, deliveries: number): Promise<void> {
  const content = systemRandom.bytes(WAITING_OCTETS)
  let number = 0
  await inParallel(64, Math.ceil(deliveries / PER_MESSAGE), async () => {
    const id = newId()
    const body = await spool(queue, id, content)
    const recipients = Array.from({ length: PER_MESSAGE }, () =>
      sampleRecipient(`r${number}@d${number++ % DOMAINS}.example`),
    )
    const meta = sampleMeta(id, systemClock.now(), body.sizeBytes)
    await queue.enqueue({ meta, recipients, body }, [], { lease: false })
  })
}

async function inParallel(workers: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: workers }, worker))
}
