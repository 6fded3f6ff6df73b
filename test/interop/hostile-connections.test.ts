// Clients that only hold connections: idle ones, ones that never finish a handshake, many from one address.
// Others are served meanwhile, and nothing of it keeps the gateway from stopping.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import {
  PARTNER_LOGIN,
  PARTNER_PASSWORD,
  type PartnerWorld,
  startPartnerWorld,
} from '../support/partner-world.ts'
import { connectLoggedIn, connectSmtp, type SmtpClient } from '../support/smtp-client.ts'

const MANY = 300
const ALLOWED = 10
const OTHER_ADDRESS = '127.0.0.9'
const TOO_MANY = '421 4.7.0 gw.test Too many connections from your address; close some and try again'

/** `count` TCP connections that say nothing; `open` counts those that the gateway has not closed. */
async function idleSockets(port: number, count: number): Promise<{ sockets: Socket[]; open: () => number }> {
  const sockets: Socket[] = []
  for (let number = 0; number < count; number++) {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => undefined)
    socket.resume()
    sockets.push(socket)
    await once(socket, 'connect')
  }
  return {
    sockets,
    open: () => sockets.filter(({ closed, readableEnded }) => !closed && !readableEnded).length,
  }
}

describe('10,000 idle sessions, one client taking all sessions', { timeout: 60_000 }, () => {
  let world: PartnerWorld
  let sockets: Socket[] = []
  const clients: SmtpClient[] = []
  before(async () => {
    world = await startPartnerWorld({ yaml: `submission: { sessionsPerClientMax: ${ALLOWED} }` })
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    for (const socket of sockets.splice(0)) socket.destroy()
    await eventually('the sessions have ended', 10_000, async () => {
      const text = await (await fetch(`http://127.0.0.1:${world.gateway.httpPort}/metrics`)).text()
      return /^securetransport_submission_sessions_count 0$/m.test(text) || null
    })
  })
  after(() => world.dispose())

  test('beyond its limit one address gets 421 and is closed, another is served, and room comes back', async () => {
    const idle = await idleSockets(world.gateway.port, MANY)
    sockets = idle.sockets
    await eventually('the rest is closed', 10_000, () => idle.open() === ALLOWED || null)
    const refused = await connectSmtp(world.gateway.port)
    clients.push(refused)
    assert.equal(await refused.reply(), TOO_MANY)
    assert.equal(await refused.reply(), null)
    const other = await connectSmtp(world.gateway.port, { localAddress: OTHER_ADDRESS })
    clients.push(other)
    assert.equal(await other.reply(), '220 gw.test ESMTP')
    for (const socket of idle.sockets) socket.destroy()
    await eventually('there is room again', 10_000, async () => {
      const client = await connectSmtp(world.gateway.port)
      clients.push(client)
      return (await client.reply()) === '220 gw.test ESMTP' || null
    })
  })
  test('connections that never begin the TLS of the implicit listener count as well', async () => {
    const idle = await idleSockets(world.gateway.implicitPort, MANY)
    sockets = idle.sockets
    await eventually('the rest is closed', 10_000, () => idle.open() === ALLOWED || null)
    const other = await connectSmtp(world.gateway.port, { localAddress: OTHER_ADDRESS })
    clients.push(other)
    assert.equal(await other.reply(), '220 gw.test ESMTP')
    for (const socket of idle.sockets) socket.destroy()
    await eventually('there is room again', 10_000, async () => {
      const client = await connectSmtp(world.gateway.implicitPort, { implicitTls: true })
      clients.push(client)
      return (await client.reply()) === '220 gw.test ESMTP' || null
    })
  })
  test('a handshake that fails or is left gives its place back', async () => {
    for (let number = 0; number < 3 * ALLOWED; number++) {
      const socket = connect({ port: world.gateway.implicitPort, host: '127.0.0.1' })
      socket.on('error', () => undefined)
      socket.resume()
      await once(socket, 'connect')
      const closed = once(socket, 'close')
      if (number % 2) socket.end('EHLO this is no handshake\r\n')
      else socket.resetAndDestroy()
      await closed
    }
    await eventually('there is room', 10_000, async () => {
      const client = await connectSmtp(world.gateway.implicitPort, { implicitTls: true })
      clients.push(client)
      return (await client.reply()) === '220 gw.test ESMTP' || null
    })
  })
})

describe('O2: a stop', { timeout: 60_000 }, () => {
  test('does not wait for clients that hang before, in and after a handshake', async () => {
    const world = await startPartnerWorld()
    try {
      await idleSockets(world.gateway.implicitPort, 3)
      await idleSockets(world.gateway.port, 3)
      const inHandshake = await connectSmtp(world.gateway.port)
      await inHandshake.reply()
      await inHandshake.command('EHLO pc')
      assert.equal(await inHandshake.command('STARTTLS'), '220 2.0.0 Ready to start TLS')
      await connectLoggedIn(world.gateway.port, PARTNER_LOGIN, PARTNER_PASSWORD)
      const code = await world.gateway.stop()
      assert.equal(code, 0)
      const lines = world.gateway.events
      assert.deepEqual(
        lines.filter(({ event }) => event === 'relay.fault'),
        [],
      )
      const at = (event: string): number =>
        Date.parse(String(lines.find((line) => line.event === event)?.['time']))
      assert.ok(at('relay.stopped') - at('relay.draining') < 20_000, 'well within the drain limit')
    } finally {
      await world.dispose()
    }
  })
})
