// Operators at work on a real gateway: its process, its command line, scripted recipients. Hosts on 127.0.0.x:
// .2 the MX of `late.test` (comes up later), .3 another host, .4 the MX of the sender, .5 the MX of `gone.test`
// (never up), .6 the same without TLS, .7 the MX of `slow.test`.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { eventually } from '../support/eventually.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import {
  type Recipient,
  type RecipientOptions,
  type Step,
  startRecipient,
} from '../support/recipient-server.ts'
import { connectLoggedIn } from '../support/smtp-client.ts'

const LOGIN = 'office'
const PASSWORD = 'correct horse battery'
const SUBJECT = 'Vertrauliche Sache'
const BODY = 'Der Inhalt bleibt hier.'
const LIMIT_MS = 60_000

interface Office {
  readonly gateway: Gateway
  /** MX of the sender's domain: where notices arrive. */
  readonly sender: Recipient
  recipient(address: string, options?: Partial<RecipientOptions>): Promise<Recipient>
  /** Sends a mail and returns its id. */
  send(...to: string[]): Promise<string>
  /** Runs a command with `--json` and returns its exit code and what it printed. */
  run(...words: string[]): Promise<{ code: number; json: unknown; stdout: string }>
  dispose(): Promise<void>
}

async function startOffice(serve: readonly string[] = []): Promise<Office> {
  const directory = await mkdtemp(join(tmpdir(), 'st-operations-'))
  const authority = createCertificateAuthority()
  const root = join(directory, 'root.pem')
  await writeFile(root, authority.certificate)
  const tls = authority.issue(['mx.office.test', 'mx.late.test', 'other.test', 'mx.slow.test'])
  const port = await freePort('127.0.0.2')
  const hosts = { office: 4, late: 2, gone: 5, slow: 7 }
  const zones = Object.entries(hosts).flatMap(([name, host]) => [
    [`${name}.test`, { MX: [`10 mx.${name}.test`] }],
    [`mx.${name}.test`, { A: [`127.0.0.${host}`] }],
  ])
  const dns = await startDnsServer({ ...Object.fromEntries(zones), 'other.test': { A: ['127.0.0.3'] } })
  const recipients: Recipient[] = []
  const recipient: Office['recipient'] = async (address, options) => {
    const made = await startRecipient({ tls, address, port, ...options })
    recipients.push(made)
    return made
  }
  const sender = await recipient('127.0.0.4')
  const gateway = await startGateway({
    serve,
    yaml: `dns: { resolvers: ["${dns.address}"] }
scanner: { kind: none }
delivery:
  port: ${port}
  allowedNetworks: [127.0.0.0/8]
  trustedCertificates: ["${root}"]
  destinationRetry: { first: 2s, max: 2s }
notifications: { from: { address: postmaster@office.test } }`,
    accounts: [{ name: 'Office', domains: ['office.test'], login: LOGIN, password: PASSWORD }],
  })
  return {
    gateway,
    sender,
    recipient,
    async send(...to) {
      const client = await connectLoggedIn(gateway.port, LOGIN, PASSWORD)
      await client.command('MAIL FROM:<max@office.test>')
      for (const address of to) await client.command(`RCPT TO:<${address}>`)
      await client.command('DATA')
      const header = ['From: max@office.test', `To: ${to.join(', ')}`, `Subject: ${SUBJECT}`]
      const reply = (await client.command([...header, '', BODY, '.'].join('\r\n'))) ?? 'closed'
      client.close()
      assert.match(reply, /^250 2\.0\.0 OK id=[0-9a-z]{18}$/)
      return reply.slice(-18)
    },
    async run(...words) {
      const { code, stdout, stderr } = await gateway.command([...words, '--json'])
      assert.equal(stderr, '', 'no progress without a terminal, nothing to complain about')
      return { code, json: JSON.parse(stdout), stdout }
    },
    async dispose() {
      await gateway.dispose()
      await Promise.all(recipients.map((one) => one.stop()))
      await dns.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const changed = (count: number) => ({ changed: count })

describe('O3: operators and the queue of a running gateway', { timeout: 5 * LIMIT_MS }, () => {
  let office: Office
  before(async () => {
    office = await startOffice()
  })
  after(() => office.dispose())

  const event = (name: string, message: string) =>
    office.gateway.event((line) => line.event === name && line['message'] === message, LIMIT_MS)
  const deferred = async (...to: string[]): Promise<string> => {
    const id = await office.send(...to)
    await event('delivery.deferred', id)
    // The event is logged before its result is stored.
    await eventually('the delivery waits', LIMIT_MS, async () => {
      const { json } = await office.run('queue', 'list', id, '--status', 'active')
      return Array.isArray(json) && json.length === 0 ? true : null
    })
    return id
  }
  const names = async (...filter: string[]): Promise<string[]> => {
    const { json } = await office.run('queue', 'list', ...filter)
    assert.ok(Array.isArray(json))
    return json.map((one) => `${one.messageId}:${one.index} ${one.status} ${one.lastFailure?.cause}`)
  }

  test('what is held stays; released, it arrives once, and the story tells of both', async () => {
    const id = await deferred('anna@late.test')
    assert.deepEqual(await office.run('queue', 'hold', id).then(({ json }) => json), changed(1))
    const late = await office.recipient('127.0.0.2')
    assert.deepEqual((await office.run('queue', 'retry', '--all')).json, changed(0))
    assert.deepEqual(await names('--status', 'held'), [`${id}:0 held connection-trouble`])
    assert.equal(late.connections, 0)

    const { json, stdout } = await office.run('queue', 'show', id)
    assert.ok(typeof json === 'object' && json !== null && 'journal' in json && Array.isArray(json.journal))
    assert.deepEqual(
      json.journal.map(({ kind }) => kind),
      ['accepted', 'deferred', 'held'],
    )
    assert.ok(stdout.includes('anna@late.test') && !stdout.includes(SUBJECT) && !stdout.includes(BODY))

    assert.deepEqual((await office.run('queue', 'release', id)).json, changed(1))
    const [mail] = await late.mails(1)
    assert.deepEqual(mail?.forwardPaths, ['anna@late.test'])
    const story = await eventually('delivered', LIMIT_MS, async () => {
      const shown = await office.gateway.command(['events', '--message', id, '--json'])
      const kinds: string[] = JSON.parse(shown.stdout).map(({ kind }: { kind: string }) => kind)
      return kinds.includes('delivered') ? kinds : null
    })
    assert.deepEqual(story, ['accepted', 'deferred', 'held', 'released', 'delivered'])
    assert.equal(late.messages, 1)
  })

  test('drop tells the sender, drop --silent nobody; both end for good', async () => {
    const told = await deferred('b@gone.test')
    const silent = await deferred('c@gone.test')
    assert.deepEqual((await office.run('queue', 'drop', `${silent}:0`, '--silent')).json, changed(1))
    await event('delivery.dropped', silent)
    assert.deepEqual((await office.run('queue', 'drop', '--domain', 'gone.test')).json, changed(1))
    const failed = await event('delivery.failed', told)
    assert.deepEqual([failed['status'], failed['cause']], ['5.0.0', 'operator'])

    const [notice, ...others] = await office.sender.mails(1)
    assert.deepEqual(others, [])
    const text = String(notice?.content)
    assert.match(text, /^Final-Recipient: rfc822; ?b@gone\.test\r$/m)
    assert.match(text, /^Action: failed\r$/m)
    assert.match(text, /^Status: 5\.0\.0\r$/m)
    await eventually('nothing is left', LIMIT_MS, async () => ((await names()).length === 0 ? true : null))
    assert.equal(office.gateway.events.filter((line) => line.event === 'notification.queued').length, 1)
    const story = await office.gateway.command(['events', '--message', silent, '--json'])
    const last = JSON.parse(story.stdout).at(-1)
    assert.deepEqual([last.kind, last.facts.senderTold], ['dropped', false])
  })

  test('move delivers by the other host, on the same conditions', async () => {
    const id = await deferred('d@gone.test')
    const plain = await office.recipient('127.0.0.6', { tls: null, port: 0 })
    assert.deepEqual(
      (await office.run('queue', 'move', id, '--to', `127.0.0.6:${plain.port}`)).json,
      changed(1),
    )
    await office.gateway.event(
      (line) => line['message'] === id && line['cause'] === 'no-encrypted-path',
      LIMIT_MS,
    )
    assert.equal(plain.messages, 0)
    const other = await office.recipient('127.0.0.3', { port: 0 })
    await eventually('moved again', LIMIT_MS, async () => {
      const { code } = await office.gateway.command(['queue', 'move', id, '--to', `other.test:${other.port}`])
      return code === 0 ? true : null
    })
    const [mail] = await other.mails(1)
    assert.deepEqual(mail?.forwardPaths, ['d@gone.test'])
    assert.equal((await event('delivery.delivered', id))['mxHost'], 'other.test')
    assert.deepEqual([plain.messages, plain.commands.filter((line) => /^MAIL/.test(line))], [0, []])
  })

  test('filters choose; nothing chosen is exit code 1, and nothing is changed by halves', async () => {
    const two = await deferred('e@gone.test', 'f@gone.test')
    const one = await deferred('g@gone.test')
    const all = [`${two}:0`, `${two}:1`, `${one}:0`].map((name) => `${name} waiting connection-trouble`)
    const lists: readonly [string[], string[]][] = [
      [[], all],
      [[two], all.slice(0, 2)],
      [[`${two}:1`], all.slice(1, 2)],
      [['--domain', 'gone.test'], all],
      [['--domain', 'late.test'], []],
      [['--customer', 'Office'], all],
      [['--customer', 'Nobody'], []],
      [['--cause', 'connection-trouble', '--limit', '1'], all.slice(0, 1)],
      [['--cause', 'spam'], []],
      [['--older-than', '0s'], all],
      [['--older-than', '1h'], []],
      [['--status', 'waiting', '--after', `${two}:1`], all.slice(2)],
    ]
    for (const [filter, expected] of lists)
      assert.deepEqual(await names(...filter), expected, filter.join(' '))

    const none = await office.gateway.command(['queue', 'drop', '--older-than', '1h'])
    assert.deepEqual(none, {
      code: 1,
      stdout: '',
      stderr: 'there is no such delivery, or an attempt is running\n',
    })
    assert.equal((await office.gateway.command(['queue', 'drop'])).code, 2)
    assert.deepEqual((await office.run('queue', 'hold', `${two}:1`)).json, changed(1))
    assert.deepEqual(
      (await names()).map((name) => name.split(' ')[1]),
      ['waiting', 'held', 'waiting'],
    )
    assert.deepEqual((await office.run('queue', 'drop', '--all', '--silent')).json, changed(3))
    await eventually('nothing is left', LIMIT_MS, async () => ((await names()).length === 0 ? true : null))
  })
})

describe('O2: SIGTERM while a delivery is slow', { timeout: 3 * LIMIT_MS }, () => {
  test('what finishes within the limit is delivered, the process ends with 0, nothing is sent twice', async () => {
    const office = await startOffice()
    try {
      const steps: string[] = []
      let atDot: () => void = () => undefined
      const reached = new Promise<void>((resolve) => {
        atDot = resolve
      })
      const script = ({ at }: Step) => {
        steps.push(at)
        if (at !== 'dot') return undefined
        atDot()
        return { drip: '250 2.0.0 taken\r\n', everyMs: 50 }
      }
      await office.recipient('127.0.0.7', { script })
      const id = await office.send('h@slow.test')
      await reached
      assert.equal(await office.gateway.stop(), 0)
      const isFor = (name: string) => (line: { event: string; message?: unknown }) =>
        line.event === name && line.message === id
      assert.equal(office.gateway.events.filter(isFor('delivery.delivered')).length, 1)
      await office.gateway.restart()
      assert.deepEqual((await office.run('queue', 'list')).json, [])
      assert.equal(steps.filter((at) => at === 'dot').length, 1)
    } finally {
      await office.dispose()
    }
  })

  test('what does not finish is given back, the process ends with 0, and the next start delivers it once', async () => {
    const office = await startOffice(['--drain-limit', '500ms'])
    try {
      let hangs = true
      let atMail: () => void = () => undefined
      const reached = new Promise<void>((resolve) => {
        atMail = resolve
      })
      const script = ({ at }: Step) => {
        if (at !== 'MAIL' || !hangs) return undefined
        atMail()
        return 'hang' as const
      }
      const slow = await office.recipient('127.0.0.7', { script })
      const id = await office.send('i@slow.test', 'j@slow.test')
      await reached
      assert.equal(await office.gateway.stop(), 0)
      const { json } = await office.run('queue', 'list', id)
      assert.ok(Array.isArray(json))
      assert.deepEqual(
        json.map(({ index, status, attempts }) => [index, status, attempts]),
        [
          [0, 'waiting', 0],
          [1, 'waiting', 0],
        ],
      )
      hangs = false
      await office.gateway.restart()
      const [mail] = await slow.mails(1)
      assert.deepEqual(mail?.forwardPaths, ['i@slow.test', 'j@slow.test'])
      await eventually('nothing is left', LIMIT_MS, async () =>
        (await office.run('queue', 'list')).stdout.trim() === '[]' ? true : null,
      )
      assert.equal(slow.messages, 1)
    } finally {
      await office.dispose()
    }
  })
})
