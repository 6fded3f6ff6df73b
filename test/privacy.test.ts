// A3, house-style.md 8: canaries in every place a mail has, through every fate a mail can have; then every place
// that operators look at is searched for them: log, standard error, metrics, health, journal, command line,
// arguments and environment of the process. None may be there, nor the beginning of one.
import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type FakeClamd, startFakeClamd } from './scanning/fake-clamd.ts'
import { eventually } from './support/eventually.ts'
import { PARTNER_LOGIN, type PartnerWorld, startPartnerWorld } from './support/partner-world.ts'
import type { Action, Step } from './support/recipient-server.ts'
import { connectSmtp, type SmtpClient } from './support/smtp-client.ts'

const CANARY = {
  subject: 'zqsubjectcanary',
  encodedSubject: 'zqencodedcanary',
  body: 'zqbodycanary',
  field: 'zqfieldcanary',
  fieldName: 'Zqnamecanary',
  displayName: 'zqdisplaycanary',
  attachmentName: 'zqattachcanary',
  attachment: 'zqfilecanary',
  boundary: 'zqboundcanary',
  password: 'zqpasswordcanary',
  wrongPassword: 'zqwrongcanary',
  newPassword: 'zqnewpasscanary',
  resent: 'zqresentcanary',
} as const
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const plainToken = (password: string): string => base64(`\0${PARTNER_LOGIN}\0${password}`)

/** What is searched for, without regard to case: the beginning of each canary, as it is and encoded. */
const TRACES = [
  ...Object.values(CANARY).map((canary) => canary.slice(0, 8)),
  ...Object.values(CANARY).flatMap((canary) => base64(canary).slice(0, 9)),
  ...[CANARY.password, CANARY.wrongPassword].map((password) => plainToken(password).slice(0, 24)),
].map((trace) => trace.toLowerCase())

function assertClean(where: string, text: string): void {
  const lower = text.toLowerCase()
  for (const trace of TRACES) {
    const at = lower.indexOf(trace)
    assert.equal(at, -1, `${where} holds ${trace}: …${text.slice(Math.max(0, at - 200), at + 60)}…`)
  }
}

const FROM = `From: ${CANARY.displayName} <max@office.test>`
const HEADER = [
  FROM,
  'To: anna@peer.test',
  `Subject: ${CANARY.subject} =?utf-8?B?${base64(CANARY.encodedSubject)}?=`,
  `Message-ID: <${CANARY.field}@office.test>`,
  `${CANARY.fieldName}: ${CANARY.field}`,
  `X-Originating-IP: ${CANARY.field}`,
  'MIME-Version: 1.0',
  `Content-Type: multipart/mixed; boundary=${CANARY.boundary}`,
]
const BODY = [
  `--${CANARY.boundary}`,
  '',
  CANARY.body,
  `Mail ${CANARY.body} to me`,
  `RCPT ${CANARY.body}`,
  `Data ${CANARY.body}`,
  `AUTH ${CANARY.body}`,
  `EHLO ${CANARY.body} ${CANARY.body}`,
  `--${CANARY.boundary}`,
  `Content-Disposition: attachment; filename="${CANARY.attachmentName}.pdf"`,
  'Content-Transfer-Encoding: base64',
  '',
  base64(CANARY.attachment),
  `--${CANARY.boundary}--`,
]
const mailOf = (header: readonly string[] = HEADER, body: readonly string[] = BODY): string =>
  [...header, '', ...body, '.', ''].join('\r\n')

describe('A3: nothing of a mail, and no password, is anywhere but in the mail', { timeout: 120_000 }, () => {
  let world: PartnerWorld
  let fake: FakeClamd
  let scannerSays = 'stream: OK\0'
  let onPeer: (step: Step) => Action | undefined = () => undefined
  const heard: string[] = []

  before(async () => {
    fake = await startFakeClamd({
      ended: (socket, body) =>
        socket.end(body.includes('EICAR-STANDARD') ? 'stream: Eicar FOUND\0' : scannerSays),
    })
    world = await startPartnerWorld({
      scanner: `{ kind: clamd, address: "${fake.address}" }`,
      peer: (step) => onPeer(step),
      password: CANARY.password,
      yaml: 'submission: { messageSizeMax: 1MB }',
    })
  })
  after(async () => {
    await fake.stop()
    await world.dispose()
  })

  let linesSeen = 0
  /** What was logged since the last look: so that a leak is reported once, by the test that caused it. */
  const newLines = (): string => {
    const lines = world.gateway.events.slice(linesSeen)
    linesSeen += lines.length
    return lines.map((line) => JSON.stringify(line)).join('\n')
  }
  /** What is there without asking. */
  const watched = async (): Promise<[string, string][]> => {
    const { gateway } = world
    const http = async (path: string): Promise<string> =>
      (await fetch(`http://127.0.0.1:${gateway.httpPort}${path}`)).text()
    return [
      ['the log', newLines()],
      ['standard error', gateway.stderr],
      ['the replies to clients', heard.splice(0).join('\n')],
      ['/metrics', await http('/metrics')],
      ['/readyz', await http('/readyz')],
      ['/healthz', await http('/healthz')],
      ['arguments', readFileSync(`/proc/${gateway.pid}/cmdline`, 'latin1')],
      ['environment', readFileSync(`/proc/${gateway.pid}/environ`, 'latin1')],
    ]
  }
  const assertAllClean = async (): Promise<void> => {
    for (const [where, text] of await watched()) assertClean(where, text)
  }
  const assertCommandsClean = async (): Promise<void> => {
    const commands = [
      'events --json',
      'events',
      'queue list --json',
      'queue list',
      'account list --json',
      'check',
    ]
    const outputs = await Promise.all(commands.map((words) => world.gateway.command(words.split(' '))))
    for (const [at, { stdout, stderr }] of outputs.entries()) {
      assert.notEqual(stdout + stderr, '', commands[at])
      assertClean(commands[at] ?? '', stdout + stderr)
    }
  }
  const ask = async (client: SmtpClient, line: string): Promise<string> => {
    const reply = (await client.command(line)) ?? 'closed'
    heard.push(reply)
    return reply
  }
  const begin = async (recipient = 'anna'): Promise<SmtpClient> => {
    const client = await world.login()
    await ask(client, 'MAIL FROM:<max@office.test>')
    await ask(client, `RCPT TO:<${recipient}@peer.test>`)
    assert.match(await ask(client, 'DATA'), /^354 /)
    return client
  }
  /** Sends `mail` and gives the reply. */
  const submit = async (mail: string | Buffer, recipient = 'anna'): Promise<string> => {
    const client = await begin(recipient)
    client.write(mail)
    const reply = (await client.reply()) ?? 'closed'
    heard.push(reply)
    client.close()
    return reply
  }
  const settled = (reply: string, event: string): Promise<unknown> =>
    world.gateway.event((line) => line.event === event && line['message'] === reply.slice(-18))

  test('after a delivery', async () => {
    await settled(await submit(mailOf()), 'delivery.delivered')
    assert.ok(world.peer.received[0]?.content.includes(CANARY.body), 'the canaries did travel')
    await assertAllClean()
  })
  test('after logins that failed in every way', async () => {
    const secure = async (): Promise<SmtpClient> => {
      const client = await connectSmtp(world.gateway.implicitPort, { implicitTls: true })
      await client.reply()
      await ask(client, 'EHLO pc')
      return client
    }
    const plain = await connectSmtp(world.gateway.port)
    await plain.reply()
    await ask(plain, 'EHLO pc')
    assert.match(await ask(plain, `AUTH PLAIN ${plainToken(CANARY.password)}`), /^530 /)
    // A client that does not look at replies goes on with what it would say to AUTH LOGIN.
    for (const line of ['AUTH LOGIN', base64(PARTNER_LOGIN), base64(CANARY.password)]) await ask(plain, line)
    plain.close()
    const wrong = await secure()
    assert.match(await ask(wrong, `AUTH PLAIN ${plainToken(CANARY.wrongPassword)}`), /^535 /)
    for (const line of ['AUTH LOGIN', base64(PARTNER_LOGIN), base64(CANARY.wrongPassword)])
      await ask(wrong, line)
    wrong.close()
    const odd = await secure()
    for (const line of [
      `AUTH PLAIN ${base64(CANARY.password)}`,
      `AUTH PLAIN ${CANARY.password} ${CANARY.password}`,
      `AUTH CRAM-MD5 ${plainToken(CANARY.password)}`,
      `AUTH ${plainToken(CANARY.password)}`,
      plainToken(CANARY.password),
    ])
      await ask(odd, line)
    odd.close()
    await assertAllClean()
  })
  test('after a DATA that was refused, when the client sends its mail all the same', async () => {
    const client = await world.login()
    await ask(client, 'MAIL FROM:<max@office.test>')
    client.write(`DATA\r\n${mailOf()}QUIT\r\n`)
    for (let reply = await client.reply(); reply !== null; reply = await client.reply()) heard.push(reply)
    client.close()
    await assertAllClean()
  })

  const bodyOf = (...lines: string[]): string[] => [...lines, CANARY.body]
  const refusals: [string, string | Buffer, RegExp][] = [
    ['for its line ends', mailOf().replace('.pdf', '.pdf\n'), /^550 5\.6\.0 /],
    ['for a long line', mailOf(HEADER, [CANARY.body.repeat(2000)]), /^550 5\.6\.0 /],
    ['for a line that is no field', mailOf([...HEADER, CANARY.field]), /^550 5\.6\.0 /],
    ['for too many fields', mailOf([...HEADER, ...Array(2000).fill(`X: ${CANARY.field}`)]), /^552 5\.3\.4 /],
    ['for its size', mailOf(HEADER, Array(100_000).fill(CANARY.body)), /^552 5\.3\.4 /],
    ['for two subjects', mailOf([...HEADER, `Subject: ${CANARY.subject}`]), /^550 5\.6\.0 /],
    ['for a tag that is none', mailOf([FROM, `Subject: ［Klartext］ ${CANARY.subject}`]), /^550 5\.7\.1 /],
    [
      'for an author that is unclear',
      mailOf([`From: ${CANARY.displayName} max@office.test`]),
      /^550 5\.7\.1 /,
    ],
    ['for a Resent-From', mailOf([...HEADER, `Resent-From: "${CANARY.resent}`]), /^550 5\.7\.1 /],
    [
      'for octets that are not UTF-8',
      Buffer.from(mailOf([`From: ${CANARY.displayName}\xff <max@office.test>`]), 'latin1'),
      /^550 5\./,
    ],
    [
      'for a loop',
      mailOf([...Array(60).fill(`Received: from ${CANARY.field} by gw.test; x`), ...HEADER]),
      /^55[04] 5\./,
    ],
  ]
  for (const [why, mail, expected] of refusals) {
    test(`after a refusal ${why}`, async () => {
      assert.match(await submit(mail), expected)
      await assertAllClean()
    })
  }
  test('after a virus, and after a scanner that answers garbage', async () => {
    scannerSays = 'stream: Eicar FOUND\0'
    assert.match(await submit(mailOf(HEADER, bodyOf('virus'))), /^550 5\.7\.1 /)
    scannerSays = 'nonsense\0'
    assert.match(await submit(mailOf()), /^451 4\.7\.1 /)
    scannerSays = 'stream: OK\0'
    await assertAllClean()
  })
  test('after a client that left in the middle', async () => {
    const client = await begin()
    client.write(`${HEADER.join('\r\n')}\r\n\r\n${CANARY.body}`)
    client.reset()
    await world.gateway.event(
      ({ event, messages }) => event === 'submission.session-closed' && messages === 0,
    )
    await assertAllClean()
  })

  const troubles: [string, string, Action, string][] = [
    ['a refused recipient', 'RCPT', '550 5.1.1 unknown\r\n', 'delivery.failed'],
    ['a refused message', 'dot', '554 5.7.1 spam\r\n', 'delivery.failed'],
    ['a recipient to be tried later', 'RCPT', '451 4.7.1 greylisted\r\n', 'delivery.deferred'],
    ['a next hop that drops in the middle', 'content', 'reset', 'delivery.deferred'],
    ['a next hop that drops after the dot', 'dot', 'reset', 'delivery.deferred'],
    [
      'a next hop that speaks something else',
      'EHLO',
      { raw: '\x1b[2J\0\xff\n', next: 'close' },
      'delivery.deferred',
    ],
  ]
  for (const [name, at, action, event] of troubles) {
    test(`after ${name}`, async () => {
      onPeer = (step) => (step.at === at ? action : undefined)
      await settled(await submit(mailOf()), event)
      await assertAllClean()
    })
  }
  test('the notices of these failures name the subject, in the mailbox of the sender only', async () => {
    await eventually('the notices arrive', 10_000, () => (world.mailbox.received.length >= 2 ? true : null))
    assert.ok(world.mailbox.received.every(({ content }) => !content.includes(CANARY.body)))
    await assertAllClean()
    await assertCommandsClean()
  })
  test('after commands with passwords, done and refused', async () => {
    const login = ['--login', 'new', '--password-stdin']
    const outputs: string[] = []
    for (const [args, input] of [
      [['account', 'change', 'Office', ...login], CANARY.newPassword],
      [['account', 'add', 'Office', '--domain', 'x.test', ...login], CANARY.newPassword],
      [['account', 'add', 'Other', '--domain', 'not a domain', ...login], CANARY.newPassword],
      [['account', 'change', 'Nobody', ...login], CANARY.newPassword],
      [['account', 'change', 'Office', ...login], `${CANARY.newPassword}\0\x1b[2J`],
      [['account', 'change', 'Office', ...login], CANARY.newPassword.slice(0, 8)],
    ] as const) {
      const { stdout, stderr } = await world.gateway.command(args, input)
      outputs.push(stdout, stderr)
    }
    assertClean('the output of the commands', outputs.join('\n'))
    await assertAllClean()
  })
  test('after a fault of the store', async () => {
    const spool = join(world.gateway.directory, 'data', 'spool')
    rmSync(spool, { recursive: true })
    writeFileSync(spool, 'no folder')
    assert.match(await submit(mailOf(HEADER, Array(45_000).fill(CANARY.body))), /^45[12] 4\.3\.[01] /)
    const { gateway } = world
    await gateway.event(({ event }) => event === 'relay.fault' || event === 'queue.not-accepting')
    await assertAllClean()
  })
})
