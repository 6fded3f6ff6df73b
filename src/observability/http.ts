// The HTTP endpoint for machines: `/livez` (200 while the process answers), `/readyz` (200 or 503 with the
// reasons), `/metrics` (Prometheus). GET and HEAD only, no login, no state, nothing of a mail: which network
// may see it is the operator's choice by `http.address`. The web console is another room's (issue 8).
// Bounded: few connections, small headers, short deadlines; a request body is never read.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../runtime/clock.ts'
import { withDeadline } from '../runtime/deadline.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import type { Health } from './health.ts'
import type { Log } from './log.ts'
import { METRICS_CONTENT_TYPE, type Metrics } from './metrics.ts'
import type { HttpSettings } from './settings.ts'

export interface HttpEndpoint {
  /** Listens; resolves to where, or `null` when it is switched off. Rejects with a `Fault` when it cannot. */
  start(): Promise<{ address: string; port: number } | null>
  /** Closes the socket and every connection. */
  stop(): Promise<void>
}

interface Dependencies {
  readonly health: Health
  readonly metrics: Metrics
  readonly log: Log
  readonly clock: Clock
  /** Brings gauges up to date before they are read, e.g. the length of the queue. */
  readonly refreshGauges?: () => Promise<void>
}

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

const REFRESH_WITHIN_MS = 5_000
const REQUEST_WITHIN_MS = 10_000
const CONNECTIONS_MAX = 64
const HEADER_OCTETS_MAX = 8 * 1024

const JSON_TYPE = 'application/json; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'

export function createHttpEndpoint(
  { health, metrics, log, clock, refreshGauges }: Dependencies,
  settings: HttpSettings,
): HttpEndpoint {
  const server = createServer({
    requestTimeout: REQUEST_WITHIN_MS,
    headersTimeout: REQUEST_WITHIN_MS,
    keepAliveTimeout: REQUEST_WITHIN_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADER_OCTETS_MAX,
  })
  server.maxConnections = CONNECTIONS_MAX
  server.timeout = 2 * REQUEST_WITHIN_MS

  const answer = async (path: string): Promise<Answer> => {
    switch (path) {
      case '/livez':
        return { status: 200, contentType: TEXT_TYPE, body: 'live\n' }
      case '/readyz': {
        const report = health.report()
        const body = `${JSON.stringify(report, null, 2)}\n`
        return { status: report.ready ? 200 : 503, contentType: JSON_TYPE, body }
      }
      case '/metrics':
        if (refreshGauges) await withDeadline(clock, REFRESH_WITHIN_MS, 'reading gauges', refreshGauges())
        return { status: 200, contentType: METRICS_CONTENT_TYPE, body: metrics.text() }
      default:
        return { status: 404, contentType: TEXT_TYPE, body: 'not found: try /livez, /readyz or /metrics\n' }
    }
  }

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    request.resume()
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      send(response, { status: 405, contentType: TEXT_TYPE, body: 'only GET and HEAD\n' })
      return
    }
    try {
      send(response, await answer(path))
    } catch (thrown) {
      log.event('http.request-failed', { path: path.slice(0, 100), reason: faultText(thrown) })
      send(response, { status: 500, contentType: TEXT_TYPE, body: 'a fault occurred; see the log\n' })
    }
  }

  server.on('request', (request, response) => {
    response.on('error', () => response.destroy())
    void respond(request, response)
  })
  server.on('clientError', (_error, socket) => socket.destroy())

  return {
    start() {
      if (!settings.enabled) return Promise.resolve(null)
      return new Promise((resolve, reject) => {
        const refuse = (error: Error): void => {
          reject(new Fault('configuration', `http: cannot listen: ${error.message}`, { cause: error }))
        }
        server.once('error', refuse)
        server.listen(settings.port, settings.address, () => {
          server.off('error', refuse)
          server.on('error', (error) =>
            log.event('http.request-failed', { path: '', reason: faultText(error) }),
          )
          const bound = server.address()
          resolve(isAddressInfo(bound) ? { address: bound.address, port: bound.port } : null)
        })
      })
    },
    stop() {
      if (!server.listening) return Promise.resolve()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

const isAddressInfo = (bound: string | AddressInfo | null): bound is AddressInfo =>
  typeof bound === 'object' && bound !== null

function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
