// Memory does not follow the mail: large mails in parallel, first while the recipient takes nothing, then while
// it takes everything. A generous bound, far below the sum of the mails; bodies stream to disk and from there.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { type PartnerWorld, startPartnerWorld } from '../support/partner-world.ts'
import { residentOctets, watchMemory } from '../support/process-memory.ts'

const MEGABYTE = 1024 * 1024
const MAIL_OCTETS = 45 * MEGABYTE
const MAILS = 10
/** Half of what is sent; measured are about 160 MB, whether 270 or 540 MB are sent. */
const GROWTH_MAX = (MAILS * MAIL_OCTETS) / 2

/** Passes octets on to `port`; towards it nothing passes a connection's first 64 KB until `open` is called. */
async function startGate(port: number): Promise<{ port: number; open(): void; stop(): void }> {
  const waiting: Socket[] = []
  const sockets = new Set<Socket>()
  let isOpen = false
  const server: Server = createServer((near) => {
    const far = connect({ port, host: '127.0.0.1' })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        near.destroy()
        far.destroy()
        sockets.delete(socket)
      })
    }
    far.pipe(near)
    let passed = 0
    near.on('data', (octets: Buffer) => {
      passed += octets.length
      if (!far.write(octets)) {
        near.pause()
        far.once('drain', () => near.resume())
      } else if (!isOpen && passed > 64 * 1024) {
        near.pause()
        waiting.push(near)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound: AddressInfo | string | null = server.address()
  return {
    port: typeof bound === 'object' ? (bound?.port ?? 0) : 0,
    open() {
      isOpen = true
      for (const socket of waiting.splice(0)) socket.resume()
    },
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

describe('memory while large mails are under way', { timeout: 180_000 }, () => {
  let world: PartnerWorld
  let gate: Awaited<ReturnType<typeof startGate>>

  before(async () => {
    world = await startPartnerWorld({
      keep: false,
      yaml: 'queue: { memoryBudget: 16MB }',
      peerPort: async (port) => {
        gate = await startGate(port)
        return gate.port
      },
    })
  })
  after(async () => {
    gate.stop()
    await world.dispose()
  })

  /** Sends one mail of `MAIL_OCTETS`; its id. */
  const submit = async (number: number): Promise<string> => {
    const client = await world.login()
    for (const line of ['MAIL FROM:<max@office.test>', `RCPT TO:<u${number}@peer.test>`, 'DATA'])
      assert.match((await client.command(line)) ?? '', /^(250|354) /)
    const piece = Buffer.from(`${String(number).repeat(62)}\r\n`.repeat(1024))
    client.write(`From: max@office.test\r\nSubject: ${number}\r\n\r\n`)
    for (let sent = 0; sent < MAIL_OCTETS; sent += piece.length) {
      if (!client.socket.write(piece)) await once(client.socket, 'drain')
    }
    client.write('.\r\n')
    const reply = (await client.reply()) ?? ''
    client.close()
    assert.match(reply, /^250 2\.0\.0 OK id=/)
    return reply.slice(-18)
  }

  test(`${MAILS} mails of 45 MB: RSS grows by far less than their sum, accepted, held up, and delivered`, async (context) => {
    const start = residentOctets(world.gateway.pid)
    const watch = watchMemory(world.gateway.pid)
    const ids = await Promise.all(Array.from({ length: MAILS }, (_, number) => submit(number)))
    assert.equal(world.peer.messages, 0, 'the recipient has none yet')
    gate.open()
    await Promise.all(
      ids.map((id) =>
        world.gateway.event(
          ({ event, message }) => event === 'delivery.delivered' && message === id,
          120_000,
        ),
      ),
    )
    const grown = watch.stop() - start
    context.diagnostic(`grew by ${Math.round(grown / MEGABYTE)} MB`)
    assert.equal(world.peer.messages, MAILS)
    assert.ok(world.peer.octets > MAILS * MAIL_OCTETS, 'all octets came')
    assert.ok(
      grown < GROWTH_MAX,
      `grew by ${Math.round(grown / MEGABYTE)} MB for ${(MAILS * MAIL_OCTETS) / MEGABYTE} MB of mail`,
    )
  })
})
