// The harness tested by itself: what the other interop tests build on must carry, and must be able to say no.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createAuthority } from '../support/authority.ts'
import { requirePart } from '../support/parts.ts'
import { startPostfixRecipient } from '../support/postfix-recipient.ts'
import { startPostfixRelayhost } from '../support/postfix-relayhost.ts'

const postfix = requirePart('postfix')
const mail = (number: number): string =>
  `From: anna@office.test\nTo: recipient@mx.test\nSubject: number ${number}\n\n.dot\nGr\u00fc\u00dfe ${number}\n`

describe('the Postfix harness', { skip: postfix.skip, timeout: 120_000 }, () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postfix-harness-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  test('twenty mails from a relayhost client arrive once each at an MX, over TLS, octet by octet', async () => {
    const tls = await (await createAuthority(directory)).issue(['mx.test', '127.0.0.1'])
    await using recipient = await startPostfixRecipient({ hostname: 'mx.test', domains: ['mx.test'], tls })
    await using client = await startPostfixRelayhost({
      hostname: 'office.test',
      relayhost: { host: recipient.address, port: recipient.port },
      login: 'office',
      password: 'secret',
    })
    const numbers = Array.from({ length: 20 }, (_, index) => index)
    for (const number of numbers) await client.send(mail(number), 'anna@office.test', [`r${number}@mx.test`])
    const arrived = await recipient.waitForMails(20)
    assert.deepEqual(
      arrived.map(({ forwardPath }) => forwardPath).sort(),
      numbers.map((n) => `r${n}@mx.test`).sort(),
    )
    for (const { received, reversePath, forwardPath, mail: content } of arrived) {
      assert.equal(reversePath, 'anna@office.test')
      assert.match(received, /using TLSv1\.3 with cipher \S+/)
      const text = content.toString()
      const [header = '', body = ''] = [
        text.slice(0, text.indexOf('\n\n') + 2),
        text.slice(text.indexOf('\n\n') + 2),
      ]
      const number = Number(/^r(\d+)@/.exec(forwardPath)?.[1])
      assert.match(header, new RegExp(`^Subject: number ${number}$`, 'm'))
      assert.equal(body, `.dot\nGr\u00fc\u00dfe ${number}\n`)
    }
    assert.equal(await client.queueLength(), 0)
  })

  test('a relayhost client hands nothing to a server without STARTTLS', async () => {
    await using recipient = await startPostfixRecipient({
      hostname: 'mx.test',
      domains: ['mx.test'],
      tls: null,
    })
    await using client = await startPostfixRelayhost({
      hostname: 'office.test',
      relayhost: { host: recipient.address, port: recipient.port },
      login: 'office',
      password: 'secret',
    })
    await client.send(mail(1), 'anna@office.test', ['r1@mx.test'])
    const line = await client.waitForLog(/status=deferred \((.*)\)/)
    assert.equal(
      line[1],
      `TLS is required, but was not offered by host ${recipient.address}[${recipient.address}]`,
    )
    assert.equal(await client.queueLength(), 1)
    assert.deepEqual(await recipient.mails(), [])
  })

  test('stopping ends every process of the instance and removes its directory', async () => {
    const recipient = await startPostfixRecipient({ hostname: 'mx.test', domains: ['mx.test'], tls: null })
    await recipient.stop()
    assert.equal(existsSync(`/proc/${recipient.pid}`), false)
    assert.equal(existsSync(recipient.directory), false)
    await recipient.stop()
  })
})
