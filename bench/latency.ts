// `npm run bench:latency`: how long a mail of 10 KB takes from the final 250 to its sender until the sink has it, on
// an idle gateway; one mail every 50 ms over one connection. Negative values mean that the sink had it before the
// sender read its reply.
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { startGatewayServer } from './servers/gateway.ts'
import { openStage } from './stage.ts'
import type { Workload } from './workloads.ts'

const PAUSE_MS = 50
const workload: Workload = {
  ...{ name: 'W2', title: '10 KB, idle', sizeBytes: 10_240 },
  ...{ clients: 1, mailsPerConnection: 1_000_000 },
}
const { values } = parseArgs({
  options: { messages: { type: 'string', default: '500' }, directory: { type: 'string', default: tmpdir() } },
})
const mails = Number(values.messages)
if (!(mails >= 1)) throw new Error('--messages: a number above 0')

await using stage = await openStage({ start: startGatewayServer, directory: values.directory, scanner: null })
await stage.run(workload, { kind: 'mails', mails: Math.ceil(mails / 4) }, PAUSE_MS)
const { loaded, count } = await stage.run(workload, { kind: 'mails', mails }, PAUSE_MS)
const latencies = loaded.acceptedAt
  .map((acceptedAt, index) => (count.arrivedAt[index] ?? Number.NaN) - acceptedAt)
  .toSorted((a, b) => a - b)
const percentile = (share: number): string => (latencies[Math.floor(share * (mails - 1))] ?? 0).toFixed(1)
process.stdout.write(
  `acceptance to the sink's 250, ${mails} mails of 10 KB, idle: p50 ${percentile(0.5)} ms (target ≤ 20), ` +
    `p99 ${percentile(0.99)} ms (target ≤ 100), longest ${percentile(1)} ms\n`,
)
