// A customer's client that attacks: sessions up to a point, everything that left for the recipient, and at the end
// the proof that the gateway took nothing of it for a fault of its own.
import assert from 'node:assert/strict'
import type { PartnerWorld } from './partner-world.ts'
import { connectSmtp, type SmtpClient } from './smtp-client.ts'

export const FROM = 'MAIL FROM:<max@office.test>'
export const TO = 'RCPT TO:<anna@peer.test>'
export const HEADER = 'From: max@office.test\r\nTo: anna@peer.test\r\n'

export interface Attacker {
  /** Connected to the STARTTLS listener, greeted, nothing said. */
  connected(): Promise<SmtpClient>
  loggedIn(): Promise<SmtpClient>
  /** Logged in, after the 354. */
  begin(): Promise<SmtpClient>
  /**
   * Sends a mail as it should be and waits for it: what was sent before has left by then, or never will. All
   * contents that the peer took, without these.
   */
  arrivedUntilNow(): Promise<string[]>
  /** Closes the connections of one test. */
  closeAll(): void
  /** Ends the world; fails when the gateway logged a fault. */
  end(): Promise<void>
}

/** The next `count` replies; `null` stands for the end of the connection. */
export async function repliesOf(client: SmtpClient, count: number): Promise<(string | null)[]> {
  const all: (string | null)[] = []
  while (all.length < count) all.push(await client.reply())
  return all
}

export function createAttacker(world: PartnerWorld): Attacker {
  const clients: SmtpClient[] = []
  let controls = 0
  const kept = (client: SmtpClient): SmtpClient => {
    clients.push(client)
    return client
  }
  const attacker: Attacker = {
    async connected() {
      const client = kept(await connectSmtp(world.gateway.port))
      assert.equal(await client.reply(), '220 gw.test ESMTP')
      return client
    },
    loggedIn: async () => kept(await world.login()),
    async begin() {
      const client = await attacker.loggedIn()
      assert.equal(await client.command(FROM), '250 2.1.0 Sender OK')
      assert.equal(await client.command(TO), '250 2.1.5 Recipient OK')
      assert.equal(await client.command('DATA'), '354 End data with <CR><LF>.<CR><LF>')
      return client
    },
    async arrivedUntilNow() {
      const mark = `control ${++controls}`
      const client = await attacker.begin()
      const reply = await client.command(`${HEADER}Subject: ${mark}\r\n\r\nx\r\n.`)
      assert.match(reply ?? '', /^250 2\.0\.0 OK id=[0-9a-z]{18}$/)
      client.close()
      const contents = (): string[] => world.peer.received.map(({ content }) => content.toString('latin1'))
      for (let seen = 1; !contents().some((mail) => mail.includes(`Subject: ${mark}\r\n`)); seen++) {
        await world.peer.mails(seen)
      }
      return contents().filter((mail) => !mail.includes('Subject: control '))
    },
    closeAll() {
      for (const client of clients.splice(0)) client.close()
    },
    async end() {
      const faults = world.gateway.events.filter(({ event }) => event === 'relay.fault')
      await world.dispose()
      assert.deepEqual(faults, [], 'nothing that a client does is a fault of ours')
    },
  }
  return attacker
}
