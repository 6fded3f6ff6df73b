// The gateway as operators run it, on a file system that really is full: senders are told to try again before
// anything is promised, what was acknowledged is there, and it recovers without a restart.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startGateway } from '../support/gateway.ts'
import { connectLoggedIn, type SmtpClient } from '../support/smtp-client.ts'

const LOGIN = 'office'
const PASSWORD = 'correct horse battery'
const MEGABYTE = 1024 ** 2
const MASTER_KEY = randomBytes(32).toString('base64')

const YAML = `scanner: { kind: none }
encryption: { masterKeys: [{ id: test, key: { file: master-key } }] }
queue: { diskReserve: 4MB, ballast: 80MB }
delivery: { allowedNetworks: [127.0.0.0/8] }
partners:
  - { domain: dead.test, hosts: ["127.0.0.1:1"] }
  - { domain: office.test, hosts: ["127.0.0.1:1"] }
notifications: { from: { address: postmaster@office.test } }`

/** One mail of `octets`; the first reply that is not what a mail that is taken gets, or the last one. */
async function send(client: SmtpClient, octets: number): Promise<string> {
  const line = `${'x'.repeat(998)}\r\n`
  const steps = ['MAIL FROM:<max@office.test>', 'RCPT TO:<a@dead.test>', 'DATA'].map((command) => ({
    command,
  }))
  for (const { command } of steps) {
    const reply = await client.command(command)
    if (!/^[23]/.test(reply ?? '')) return String(reply)
  }
  client.write('From: max@office.test\r\nTo: a@dead.test\r\nSubject: x\r\n\r\n')
  client.write(line.repeat(Math.ceil(octets / line.length)))
  return String(await client.command('.'))
}

const readiness = async (port: number): Promise<[number, string]> => {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`)
  return [response.status, await response.text()]
}

test('O5: disk full: 452 before anything is promised, nothing acknowledged is lost, recovery without a restart', {
  timeout: 120_000,
}, async (context) => {
  const account = { name: 'Office', domains: ['office.test'], login: LOGIN, password: PASSWORD }
  const gateway = await startGateway({
    yaml: 'scanner: { kind: none }\nnotifications: { from: { address: postmaster@office.test } }',
  })
  const data = join(gateway.directory, 'data')
  await gateway.stop()
  const isMounted = mountSmall(data)
  try {
    if (!isMounted) return context.skip('no file system can be mounted here')
    writeFileSync(join(gateway.directory, 'master-key'), MASTER_KEY, { mode: 0o600 })
    writeFileSync(gateway.configPath, `${configurationHead(gateway.port)}\n${YAML}\n`)
    const added = await gateway.command(
      ['account', 'add', account.name, '--domain', 'office.test', '--login', LOGIN, '--password-stdin'],
      PASSWORD,
    )
    assert.equal(added.code, 0, added.stderr)
    await gateway.restart()
    const { pid } = gateway
    await untilReady(gateway.httpPort)

    const client = await connectLoggedIn(gateway.port, LOGIN, PASSWORD)
    const accepted: string[] = []
    const ids = (reply: string): string[] => /^250 2\.0\.0 OK id=(\w+)/.exec(reply)?.slice(1) ?? []
    accepted.push(...ids(await send(client, MEGABYTE)))
    assert.equal(accepted.length, 1)
    // Somebody else fills the disk but for a few mails.
    const { bavail, bsize } = statfsSync(data)
    writeFileSync(join(data, 'filler'), Buffer.alloc(bavail * bsize - 12 * MEGABYTE))
    let refused = ''
    for (let count = 0; refused === '' && count < 40; count++) {
      const reply = await send(client, MEGABYTE)
      if (reply.startsWith('250')) accepted.push(...ids(reply))
      else refused = reply
    }
    assert.equal(refused, '452 4.3.1 Not enough storage right now; try again in a few minutes')
    assert.ok(accepted.length > 1)
    const [status, text] = await readiness(gateway.httpPort)
    assert.equal(status, 503)
    assert.match(text, /disk-(?:low|full)/)
    await client.command('RSET')
    const again = await client.command('MAIL FROM:<max@office.test>')
    assert.equal(again, '452 4.3.1 Not enough storage right now; try again in a few minutes')

    rmSync(join(data, 'filler'))
    await gateway.event(({ event }) => event === 'queue.accepting', 30_000)
    await untilReady(gateway.httpPort)
    await client.command('RSET')
    accepted.push(...ids(await send(client, MEGABYTE)))
    client.close()
    assert.equal(gateway.pid, pid)
    const { stdout } = await gateway.command(['queue', 'list', '--json', '--limit', '1000'])
    const listed: { messageId: string; forwardPath: string }[] = JSON.parse(stdout)
    assert.deepEqual([...new Set(listed.map(({ messageId }) => messageId))].sort(), accepted.sort())
    assert.ok(listed.every(({ forwardPath }) => forwardPath === 'a@dead.test'))
  } finally {
    await gateway.stop()
    if (isMounted) execFileSync('umount', [data])
    await gateway.dispose()
  }
})

const configurationHead = (port: number): string => `hostname: gw.test
dataDirectory: data
listeners:
  - { address: 127.0.0.1, port: ${port}, encryption: starttls }
  - { address: 127.0.0.1, port: 0, encryption: implicit }
certificates: [{ chain: chain.pem, key: key.pem }]
http: { address: 127.0.0.1, port: 0 }`

function mountSmall(directory: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=220m,mode=700', 'store-test', directory], {
      stdio: 'pipe',
    })
    return true
  } catch {
    return false // not as this user, or not in this container
  }
}

async function untilReady(port: number): Promise<void> {
  for (let asked = 0; (await readiness(port))[0] !== 200; asked++) {
    assert.ok(asked < 300, 'the gateway does not become ready')
    await new Promise((resolve) => setTimeout(resolve, 50)) // the watch over the disk looks every 3 s
  }
}
