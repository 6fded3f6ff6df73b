// Whole notices against files in golden/. To accept a change: UPDATE_GOLDEN=1 node --test <this file>, then
// read the difference.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { NewMessage } from '../../src/queue/message.ts'
import type { NoticeItem, NoticeKind } from '../../src/queue/notice.ts'
import { decodeReply } from '../../src/smtp/reply.ts'
import {
  claimOf,
  deferred,
  delivered,
  failure,
  messageMeta,
  NOW,
  noEncryptedPath,
  plannerWith,
} from './fixtures.ts'
import { octetsOf, readNotice } from './mime.ts'

const message = messageMeta({
  envelope: { dsn: { ret: 'full', envid: 'QQ314159+2Bx' } },
})
const DSN = { notify: ['success', 'failure', 'delay'], orcpt: 'rfc822;Max+2BLast@kunde.example' } as const
const item = (address: string, outcome: NoticeItem['outcome'], delayNotified = false): NoticeItem => ({
  claim: claimOf({ message, address, state: { delayNotified }, ...(delayNotified ? {} : { dsn: DSN }) }),
  outcome,
})

const CASES: readonly [name: string, kind: NoticeKind, items: readonly NoticeItem[]][] = [
  [
    'failed',
    'failed',
    [
      item('max@kunde.example', failure()),
      item('moritz@kunde.example', failure()),
      item(
        'info@amt.example',
        noEncryptedPath({ place: { mxHost: 'mx.amt.example', address: null, port: 25 } }),
      ),
    ],
  ],
  ['no-encrypted-path', 'failed', [item('max@kunde.example', noEncryptedPath())]],
  ['delayed', 'delayed', [item('max@kunde.example', deferred())]],
  [
    'relayed',
    'relayed',
    [
      item('max@kunde.example', delivered()),
      item(
        'info@amt.example',
        delivered({
          reply: decodeReply(250, ['Queued as 4Fk2x9']),
          evidence: { kind: 'cleartext', permitSource: 'subject-tag' },
        }),
      ),
    ],
  ],
  ['delay-over', 'delay-over', [item('max@kunde.example', delivered(), true)]],
]

async function matchesGolden(name: string, actual: string): Promise<void> {
  const file = new URL(`golden/${name}`, import.meta.url)
  const { UPDATE_GOLDEN } = process.env
  if (UPDATE_GOLDEN) await writeFile(file, actual)
  assert.equal(actual, await readFile(file, 'utf8'), `differs from golden/${name}`)
}

async function noticeOf(
  kind: NoticeKind,
  items: readonly NoticeItem[],
  languages: readonly string[],
): Promise<NewMessage> {
  const planner = await plannerWith({ languages })
  const [notice] = await planner.plan(kind, message, items, NOW)
  assert.ok(notice)
  return notice
}

for (const [name, kind, items] of CASES) {
  for (const languages of [
    ['de', 'en'],
    ['en', 'de'],
  ]) {
    const order = languages.join('-')
    test(`N5: the notice ${name} in the order ${order} reads as its golden files`, async () => {
      const read = readNotice(await noticeOf(kind, items, languages))
      await matchesGolden(`${name}.${order}.txt`, read.text)
      await matchesGolden(`${name}.${order}.html`, read.html)
    })
  }
  test(`N1: the delivery status of ${name} is its golden file`, async () => {
    await matchesGolden(`${name}.status`, readNotice(await noticeOf(kind, items, ['de'])).status)
  })
}

test('N1: a whole notice is, octet by octet, its golden file', async () => {
  const [, kind, items] = CASES[1] ?? assert.fail()
  await matchesGolden('no-encrypted-path.eml', octetsOf(await noticeOf(kind, items, ['de'])).toString('utf8'))
})
