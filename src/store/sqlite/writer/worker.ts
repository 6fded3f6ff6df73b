// The writer thread: sole writer of the gateway's databases. It takes what piled up while the last commit
// ran, commits it as one transaction and answers; so a lone request waits for nobody and a crowd shares
// one fsync. Synchronous SQLite here costs the main thread nothing.
import { rmSync } from 'node:fs'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { Fault, faultText } from '../../../runtime/fault.ts'
import { ballastPath } from '../layout.ts'
import { lockDirectory, openDatabases } from './database.ts'
import { createGroupCommit, type Job } from './group-commit.ts'
import { createHandlers } from './handlers.ts'
import type { Packet, Report, WriterSettings } from './protocol.ts'

const REQUESTS_MAX = 256
const OCTETS_MAX = 8 * 1024 * 1024

const post = (port: MessagePort, report: Report): void => port.postMessage(report)

function dropBallast(path: string): boolean {
  try {
    rmSync(path)
    return true
  } catch {
    return false // there is none: then nothing can be freed, and the caller refuses
  }
}

function serve(port: MessagePort, { dataDirectory, cacheOctets }: WriterSettings): void {
  const unlock = lockDirectory(dataDirectory)
  const databases = openDatabases(dataDirectory, cacheOctets)
  const group = createGroupCommit({
    queue: databases.queue,
    handlers: createHandlers(databases, () => group.recovered()),
    dropBallast: () => dropBallast(ballastPath(dataDirectory)),
    onFull: () => post(port, { kind: 'full' }),
    onBroken: (message) => post(port, { kind: 'broken', message }),
  })
  const waiting: Job[] = []
  let closing = false

  const accept = (message: Packet | { kind: 'close' }): void => {
    if (message.kind === 'close') {
      closing = true
      return
    }
    for (const request of message.requests) {
      waiting.push({ request, octets: new Uint8Array(message.octets, request.from, request.size) })
    }
  }
  const nextBatch = (): Job[] => {
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port)) {
      accept(more.message)
    }
    let jobs = 0
    for (let octets = 0; jobs < waiting.length && jobs < REQUESTS_MAX && octets < OCTETS_MAX; jobs++) {
      octets += waiting[jobs]?.octets.length ?? 0
    }
    return waiting.splice(0, jobs)
  }

  port.on('message', (message: Packet | { kind: 'close' }) => {
    accept(message)
    for (let batch = nextBatch(); batch.length > 0; batch = nextBatch()) {
      group.run(batch, (answers) => {
        if (answers.length > 0) post(port, { kind: 'answers', answers })
      })
    }
    if (!closing) return
    databases.close()
    unlock()
    port.close()
  })
  post(port, { kind: 'ready' })
}

if (parentPort !== null) {
  try {
    serve(parentPort, workerData)
  } catch (error) {
    const code = error instanceof Fault ? error.code : 'store-unavailable'
    post(parentPort, { kind: 'refused', code, message: faultText(error) })
    parentPort.close()
  }
}
