import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createHealth } from '../../src/observability/health.ts'
import { createHttpEndpoint } from '../../src/observability/http.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import { httpSettings } from '../../src/observability/settings.ts'
import { Fault } from '../../src/runtime/fault.ts'
import { createManualClock } from '../support/manual-clock.ts'

async function endpoint(context: TestContext, options: { refreshGauges?: () => Promise<void> } = {}) {
  const health = createHealth()
  const metrics = createMetrics()
  const events: unknown[][] = []
  const log = { event: (...event: unknown[]) => void events.push(event) }
  const http = createHttpEndpoint(
    { health, metrics, log, clock: createManualClock(), ...options },
    httpSettings.parse({ port: 0 }),
  )
  const bound = (await http.start()) ?? assert.fail('not listening')
  context.after(() => http.stop())
  return { health, metrics, events, port: bound.port, base: `http://127.0.0.1:${bound.port}`, http }
}

const answer = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init)
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
}

test('O5: /livez answers as soon as the process does', async (context) => {
  const { base } = await endpoint(context)
  assert.deepEqual(await answer(`${base}/livez`), {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: 'live\n',
  })
})

test('O5: /readyz is 503 with reasons until every check is ready', async (context) => {
  const { base, health } = await endpoint(context)
  let reason: string | null = 'disk-low'
  health.register('store', () => reason)
  assert.deepEqual(await answer(`${base}/readyz`), {
    status: 503,
    type: 'application/json; charset=utf-8',
    body: `${JSON.stringify({ ready: false, checks: [{ name: 'store', reason: 'disk-low' }] }, null, 2)}\n`,
  })
  reason = null
  assert.equal((await answer(`${base}/readyz?verbose`)).status, 200)
})

test('O5: /metrics shows the gauges as they are now', async (context) => {
  const { base, metrics } = await endpoint(context, {
    refreshGauges: async () => metrics.set('securetransport_queue_deliveries_count', { state: 'held' }, 7),
  })
  const { status, type, body } = await answer(`${base}/metrics`)
  assert.equal(status, 200)
  assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(body, metrics.text())
  assert.ok(body.includes('securetransport_queue_deliveries_count{state="held"} 7\n'))
})

test('O5: a fault becomes 500 and an event, and tells the client nothing', async (context) => {
  const { base, events } = await endpoint(context, {
    refreshGauges: () => Promise.reject(new Error('database away')),
  })
  assert.deepEqual(await answer(`${base}/metrics`), {
    status: 500,
    type: 'text/plain; charset=utf-8',
    body: 'a fault occurred; see the log\n',
  })
  assert.deepEqual(events, [['http.request-failed', { path: '/metrics', reason: 'database away' }]])
})

test('O5: other paths are 404, other methods 405, HEAD has no body', async (context) => {
  const { base } = await endpoint(context)
  assert.equal((await answer(`${base}/`)).status, 404)
  assert.equal((await answer(`${base}/../etc/passwd`)).status, 404)
  assert.deepEqual(await answer(`${base}/livez`, { method: 'POST', body: 'x' }), {
    status: 405,
    type: 'text/plain; charset=utf-8',
    body: 'only GET and HEAD\n',
  })
  assert.deepEqual(await answer(`${base}/livez`, { method: 'HEAD' }), {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: '',
  })
})

for (const [what, bytes] of [
  ['garbage', '\u0000\u0001\r\n\r\n'],
  ['a header of 9 KB', `GET /livez HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9 * 1024)}\r\n\r\n`],
] as const) {
  test(`O5: ${what} closes the connection, the endpoint lives on`, async (context) => {
    const { base, port } = await endpoint(context)
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.end(bytes)
    await new Promise((resolve) => socket.once('close', resolve))
    assert.equal((await answer(`${base}/livez`)).status, 200)
  })
}

test('O5: stopping closes idle and half-sent connections', async (context) => {
  const { http, port } = await endpoint(context)
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write('GET /livez HTTP/1.1\r\nHo')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await http.stop()
  await closed
  await http.stop()
})

test('O5: stopping does not wait for a request that hangs', async (context) => {
  const asked = Promise.withResolvers<void>()
  const { http, base } = await endpoint(context, {
    refreshGauges: () => {
      asked.resolve()
      return new Promise(() => {})
    },
  })
  const request = assert.rejects(fetch(`${base}/metrics`))
  await asked.promise
  await http.stop()
  await request
})

test('O5: switched off it does not listen; a taken port is a fault that names it', async (context) => {
  const { port } = await endpoint(context)
  const dependencies = {
    health: createHealth(),
    metrics: createMetrics(),
    log: { event: () => {} },
    clock: createManualClock(),
  }
  const off = createHttpEndpoint(dependencies, httpSettings.parse({ enabled: false }))
  assert.equal(await off.start(), null)
  const second = createHttpEndpoint(dependencies, httpSettings.parse({ port }))
  await assert.rejects(second.start(), (error) => {
    assert.ok(error instanceof Fault)
    assert.equal(
      error.message,
      `http: cannot listen: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
    )
    return true
  })
})
