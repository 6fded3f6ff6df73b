// Notices through the front door: whatever sender and next hop write, what arrives in the sender's mailbox is
// one well-formed report; and a notice is never the cause of another (N4).
import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { after, before, describe, test } from 'node:test'
import { splitMime } from '../notification/mime.ts'
import { eventually } from '../support/eventually.ts'
import { type PartnerWorld, startPartnerWorld } from '../support/partner-world.ts'
import type { Action, ReceivedMail, Step } from '../support/recipient-server.ts'

const NOTICE_FIELDS = [
  'received',
  'from',
  'to',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'auto-submitted',
  'mime-version',
  'content-type',
  'x-securetransport-forwarded',
]
const TAGS = '!doctype html head meta title body div p i h1 h2 b br ul ol li hr code'.split(' ')
/** Controls but tab, CR and LF; and what moves text about. */
const UNSAFE = /[^\P{Cc}\t\r\n]|[\u2028-\u202e\u2066-\u2069]/u

/** Any control but tab. */
const UNSAFE_OCTET = /[^\P{Cc}\t]/u

/** What the peer answers to RCPT, by the local-part asked for. */
const REPLIES: Readonly<Record<string, Action>> = {
  escapes: '550 5.1.1 \x1b[2J\x1b]0;owned\x07 no \x9b31m\x85\x00 <script>alert(1)</script>\r\n',
  fields: '550-5.1.1 no\r\n550-5.1.1 Action: delivered\r\n550 5.1.1 Bcc: eve@elsewhere.test\r\n',
  long: `550 5.1.1 ${'x'.repeat(900)}\r\n`,
  eightbit: {
    raw: Buffer.from('550 5.1.1 \xff\xfe\xe2\x80\xae\xc3\x28 {{name}} &lt;\r\n', 'latin1'),
    next: 'go on',
  },
  code: '599 9.9.9 what\r\n',
  plain: '550 5.1.1 unknown\r\n',
}

describe('N1, N4: hostile subjects, replies and mailboxes', { timeout: 120_000 }, () => {
  let world: PartnerWorld
  let bounces = false
  before(async () => {
    world = await startPartnerWorld({
      peer: ({ at, line }: Step) => (at === 'RCPT' ? REPLIES[/<([a-z]+)@/.exec(line)?.[1] ?? ''] : undefined),
      mailbox: ({ at }: Step) => (bounces && at === 'RCPT' ? '550 5.1.1 no such user\r\n' : undefined),
    })
    const change = await world.gateway.command(['account', 'change', 'Office', '--null-sender', 'yes'])
    assert.equal(change.code, 0)
  })
  after(async () => {
    const faults = world.gateway.events.filter(({ event }) => event === 'relay.fault')
    await world.dispose()
    assert.deepEqual(faults, [])
  })

  /** Sends one mail and waits until its delivery has failed; its id. */
  const fail = async (
    localPart: string,
    header: string,
    from = 'max@office.test',
    dsn = '',
  ): Promise<string> => {
    const client = await world.login()
    assert.equal(await client.command(`MAIL FROM:<${from}>`), '250 2.1.0 Sender OK')
    assert.equal(await client.command(`RCPT TO:<${localPart}@peer.test>${dsn}`), '250 2.1.5 Recipient OK')
    await client.command('DATA')
    client.write(Buffer.from(`From: max@office.test\r\n${header}\r\nsecret body\r\n.\r\n`, 'latin1'))
    const reply = (await client.reply()) ?? ''
    client.close()
    assert.match(reply, /^250 /)
    const id = reply.slice(-18)
    await world.gateway.event(({ event, message }) => event === 'delivery.failed' && message === id)
    return id
  }
  const noticeAbout = async (id: string): Promise<ReceivedMail> => {
    const told = await world.gateway.event(
      ({ event, about }) => event === 'notification.queued' && about === id,
    )
    await world.gateway.event(
      ({ event, message }) => event === 'delivery.delivered' && message === told['message'],
    )
    const notice = world.mailbox.received.find(({ content }) => content.includes(`${told['message']}`))
    assert.ok(notice, 'the notice arrived')
    return notice
  }
  const assertIntact = (notice: ReceivedMail, recipient: string): void => {
    assert.equal(notice.reversePath, '')
    assert.deepEqual(notice.forwardPaths, ['max@office.test'])
    assert.ok(isAscii(notice.content), 'travels without 8BITMIME')
    for (const line of notice.content.toString('latin1').split('\r\n')) {
      assert.ok(line.length <= 998)
      assert.doesNotMatch(line, UNSAFE_OCTET)
    }
    const report = splitMime(notice.content)
    for (const name of report.fields.keys()) assert.ok(NOTICE_FIELDS.includes(name), `a field ${name}`)
    assert.equal(report.parts.length, 3)
    const [people, status] = report.parts
    const machine = status?.content.toString() ?? ''
    assert.equal(machine.match(/^Action: /gm)?.length, 1)
    assert.match(machine, /^Action: failed\r?$/m)
    assert.ok(machine.includes(`Final-Recipient: rfc822; ${recipient}\r\n`))
    for (const part of people?.parts ?? []) {
      const text = part.content.toString('utf8')
      assert.doesNotMatch(text, UNSAFE)
      assert.ok(!text.includes('secret body'))
      if (part.type !== 'text/html') continue
      for (const [, tag] of text.matchAll(/<\/?([a-z0-9!]+)/gi))
        assert.ok(TAGS.includes(tag ?? ''), `<${tag}>`)
    }
  }

  const encoded = (text: string): string => `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`
  const subjects: [string, string][] = [
    ['script', '<script>alert(1)</script><img src=x onerror=y>'],
    ['CRLF and a field, encoded', encoded('a\r\nBcc: eve@elsewhere.test\r\n\r\nbody')],
    ['terminal escapes, encoded', encoded('\x1b[2J\x1b]0;owned\x07\u202egpj.exe')],
    ['an encoded word within an encoded word', encoded('=?utf-8?Q?=0D=0ABcc:x?=')],
    ['template tags', '{{name}} {{#steps}} {{{html}}}'],
    ['raw octets that are not UTF-8', '\xff\xfe\x80'],
    ['900 letters', 'x'.repeat(900)],
    ['nothing', ''],
  ]
  for (const [name, subject] of subjects) {
    test(`a subject of ${name} yields a well-formed notice`, async () => {
      const id = await fail('plain', `Subject: ${subject}\r\n`)
      assertIntact(await noticeAbout(id), 'plain@peer.test')
    })
  }
  for (const localPart of ['escapes', 'fields', 'long', 'eightbit', 'code']) {
    test(`a remote reply with ${localPart} yields a well-formed notice, and a log line without control characters`, async () => {
      const id = await fail(localPart, 'Subject: Angebot\r\n')
      assertIntact(await noticeAbout(id), `${localPart}@peer.test`)
      const line = world.gateway.events.find(
        ({ event, message }) => event === 'delivery.failed' && message === id,
      )
      assert.doesNotMatch(Object.values(line ?? {}).join(' '), UNSAFE)
      for (const args of [
        ['events', '--message', id],
        ['events', '--message', id, '--json'],
      ]) {
        const shown = await world.gateway.command(args)
        assert.doesNotMatch(shown.stdout.replaceAll('\n', ''), UNSAFE)
      }
    })
  }
  test('ORCPT with line ends and script adds nothing', async () => {
    const dsn = ' NOTIFY=FAILURE ORCPT=rfc822;a+0D+0AAction:+20delivered+0D+0A<b>'
    const id = await fail('plain', 'Subject: x\r\n', 'max@office.test', dsn)
    assertIntact(await noticeAbout(id), 'plain@peer.test')
  })

  const silent = async (id: string): Promise<void> => {
    // A mail after it whose notice arrives: what was to be sent before has been sent.
    bounces = false
    await noticeAbout(await fail('plain', 'Subject: control\r\n'))
    const about = world.gateway.events.filter((line) => line['about'] === id)
    assert.deepEqual(about, [], 'nobody was told')
    const listed = await world.gateway.command(['queue', 'list', '--json'])
    assert.deepEqual(JSON.parse(listed.stdout), [])
  }
  test('N4: a failed mail with the null reverse-path bounces to nobody', async () => {
    await silent(await fail('plain', 'Subject: x\r\n', ''))
  })
  test('N4: NOTIFY=NEVER is obeyed', async () => {
    await silent(await fail('plain', 'Subject: x\r\n', 'max@office.test', ' NOTIFY=NEVER'))
  })
  test('N4: a notice that bounces makes no notice; the operator reads of it', async () => {
    bounces = true
    const id = await fail('plain', 'Subject: x\r\n')
    const told = await world.gateway.event(
      ({ event, about }) => event === 'notification.queued' && about === id,
    )
    const noticeId = String(told['message'])
    await world.gateway.event(
      ({ event, message }) => event === 'notification.undeliverable' && message === noticeId,
    )
    await silent(noticeId)
  })
  test('S5: with the null sender a foreign From is refused all the same', async () => {
    const client = await world.login()
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<plain@peer.test>')
    await client.command('DATA')
    assert.match((await client.command('From: eve@elsewhere.test\r\n\r\nx\r\n.')) ?? '', /^550 5\.7\.1 /)
    client.close()
  })
  test('N4: each of these mails was told of once at most, and nothing is left in the queue', async () => {
    await eventually('the queue is empty', 10_000, async () => {
      const listed = await world.gateway.command(['queue', 'list', '--json'])
      return JSON.parse(listed.stdout).length === 0 || null
    })
    const queued = world.gateway.events.filter(({ event }) => event === 'notification.queued')
    assert.equal(new Set(queued.map(({ about }) => about)).size, queued.length, 'one notice for one mail')
  })
})
