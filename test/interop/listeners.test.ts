// The listeners of a running gateway as clients meet them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { connectSmtp } from '../support/smtp-client.ts'

describe('S1: a gateway with several listeners', { timeout: 60_000 }, () => {
  let gateway: Gateway
  before(async () => {
    gateway = await startGateway({ yaml: 'scanner: { kind: none }\n' })
  })
  after(() => gateway.dispose())

  test('S1: one listener begins in the clear and offers STARTTLS', async () => {
    const client = await connectSmtp(gateway.port)
    assert.equal(await client.reply(), '220 gw.test ESMTP')
    assert.match((await client.command('EHLO pc')) ?? '', /\n250 STARTTLS$/)
    client.close()
  })
  test('S1: another begins with TLS (RFC 8314) and offers a login at once', async () => {
    const client = await connectSmtp(gateway.implicitPort, { implicitTls: true })
    assert.equal(await client.reply(), '220 gw.test ESMTP')
    assert.match((await client.command('EHLO pc')) ?? '', /\n250 AUTH PLAIN LOGIN$/)
    client.close()
  })
  test('O5: readiness and metrics are served beside it', async () => {
    const ready = await fetch(`http://127.0.0.1:${gateway.httpPort}/readyz`)
    assert.equal(ready.status, 200)
    const metrics = await (await fetch(`http://127.0.0.1:${gateway.httpPort}/metrics`)).text()
    assert.match(metrics, /^securetransport_queue_accepting_boolean 1$/m)
    assert.match(metrics, /^securetransport_queue_deliveries_count\{state="waiting"\} 0$/m)
  })
  test('O2: SIGTERM ends it with 0', async () => {
    assert.equal(await gateway.stop(), 0)
  })
})
