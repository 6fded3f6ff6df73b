// `npm run bench:idle`: memory of the gateway with many sessions that are logged in and do nothing. Needs as many
// open files, here and in the gateway: `ulimit -n`.
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { memoryMb } from './process-tree.ts'
import { startGatewayServer } from './servers/gateway.ts'
import { openStage } from './stage.ts'

const MEMORY_MAX_MB = 600
const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10000' },
    directory: { type: 'string', default: tmpdir() },
  },
})
const sessions = Number(values.sessions)
if (!(sessions >= 1)) throw new Error('--sessions: a number above 0')

await using stage = await openStage({ start: startGatewayServer, directory: values.directory, scanner: null })
const emptyMb = memoryMb(stage.roots)
await stage.hold(sessions)
const usedMb = memoryMb(stage.roots)
process.stdout.write(
  `${sessions} idle sessions: ${usedMb.toFixed(0)} MB (target for 10,000: ≤ ${MEMORY_MAX_MB}), ` +
    `${(((usedMb - emptyMb) * 1024) / sessions).toFixed(1)} KB each; without sessions ${emptyMb.toFixed(0)} MB\n`,
)
