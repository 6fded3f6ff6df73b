import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXIT } from '../../src/cli/exit-code.ts'
import type { JournalEntry } from '../../src/journal/entry.ts'
import type { QueueListing } from '../../src/queue/store.ts'
import { createConsole } from './console.ts'

const ID = '01k9x0c2m3n4p5q6r7'
const LISTING: QueueListing = {
  messageId: ID,
  index: 0,
  customer: 'muster',
  reversePath: 'a@muster.example',
  forwardPath: 'b@recipient.example',
  domain: 'recipient.example',
  sizeBytes: 1234,
  acceptedAt: Date.UTC(2026, 0, 5, 9, 0, 0, 123),
  expiresAt: Date.UTC(2026, 0, 10, 9, 0, 0),
  attempts: 2,
  nextAttemptAt: Date.UTC(2026, 0, 5, 10, 0, 0),
  status: 'waiting',
  lastFailure: { status: '4.4.1', cause: 'unreachable', text: 'timed out \u001b[31m' },
}

test('O3: queue list is a table for people, without the control characters of strangers', async (context) => {
  const { run, out } = createConsole(context, {
    operations: {
      queue: {
        list: async () => [
          LISTING,
          { ...LISTING, index: 1, nextAttemptAt: null, status: 'held', lastFailure: null },
        ],
        retryNow: async () => 0,
        counts: async () => ({ waiting: 1, active: 0, held: 1 }),
      },
    },
  })
  assert.equal(await run(['queue', 'list']), EXIT.ok)
  assert.equal(
    out.join('\n'),
    `DELIVERY              ACCEPTED              TRIES  NEXT                  FROM              TO                   LAST TROUBLE
${ID}:0  2026-01-05 09:00:00Z  2      2026-01-05 10:00:00Z  a@muster.example  b@recipient.example  4.4.1 unreachable: timed out  [31m
${ID}:1  2026-01-05 09:00:00Z  2      held                  a@muster.example  b@recipient.example
2 deliveries in the queue: 1 waiting, 0 active, 1 held`,
  )
})

test('O3: queue list --json passes filters on and prints what the store knows', async (context) => {
  const asked: unknown[] = []
  const counts = { waiting: 1, active: 0, held: 0 }
  const { run, out } = createConsole(context, {
    operations: {
      queue: {
        list: async (options) => {
          asked.push(options)
          return [LISTING]
        },
        retryNow: async () => 0,
        counts: async () => counts,
      },
    },
  })
  const filters = ['--domain', 'Müller.example', '--customer', 'muster', '--limit', '7', '--after', `${ID}:3`]
  assert.equal(await run(['queue', 'list', '--json', ...filters]), EXIT.ok)
  assert.deepEqual(asked, [
    { limit: 7, domain: 'xn--mller-kva.example', customer: 'muster', after: `${ID}:3` },
  ])
  assert.deepEqual(JSON.parse(out.join('\n')), [LISTING])
})

test('O3: queue retry says how many are due; none is 1', async (context) => {
  const asked: unknown[] = []
  let waiting = 2
  const { run, out, err } = createConsole(context, {
    operations: {
      queue: {
        list: async () => [],
        retryNow: async (filter) => {
          asked.push(filter)
          return waiting
        },
        counts: async () => ({ waiting: 0, active: 0, held: 0 }),
      },
    },
  })
  assert.equal(await run(['queue', 'retry', ID]), EXIT.ok)
  assert.deepEqual(out, ['2 deliveries are due now'])
  waiting = 0
  assert.equal(await run(['queue', 'retry', '--domain', 'recipient.example']), EXIT.failed)
  assert.deepEqual(err, ['no such delivery waits'])
  assert.equal(await run(['queue', 'retry', '--all', '--json']), EXIT.ok)
  assert.deepEqual(out, ['{\n  "retried": 0\n}'])
  assert.deepEqual(asked, [{ messageId: ID }, { domain: 'recipient.example' }, {}])
})

const ENTRY: JournalEntry = {
  at: Date.UTC(2026, 0, 5, 9, 0, 0),
  kind: 'delivered',
  messageId: ID,
  customer: 'muster',
  reversePath: '',
  forwardPath: 'b@recipient.example',
  facts: { reply: '250 2.0.0 ok', tlsProtocol: 'TLSv1.3', detail: null },
}

test('O3: events tells the story of a message; an unknown one is 1', async (context) => {
  const { run, out, err } = createConsole(context, {
    operations: {
      journal: {
        append: async () => {},
        trace: async (id) => (id === ID ? [ENTRY] : []),
        between: async () => [],
      },
    },
  })
  assert.equal(await run(['events', '--message', ID]), EXIT.ok)
  assert.equal(
    out.join('\n'),
    `WHEN                  EVENT      MESSAGE             FROM  TO                   FACTS
2026-01-05 09:00:00Z  delivered  ${ID}  <>    b@recipient.example  reply=250 2.0.0 ok tlsProtocol=TLSv1.3`,
  )
  assert.equal(await run(['events', '--message', ID, '--json']), EXIT.ok)
  assert.deepEqual(JSON.parse(out.join('\n')), [ENTRY])
  assert.equal(await run(['events', '--message', '01k9x0c2m3n4p5q6r8']), EXIT.failed)
  assert.deepEqual(err, ['nothing is known'])
})

test('O3: the store is closed again, also when a command fails', async (context) => {
  let closed = 0
  const close = () => void closed++
  const queue = {
    list: () => Promise.reject(new Error('broken')),
    retryNow: async () => 0,
    counts: async () => ({ waiting: 0, active: 0, held: 0 }),
  }
  const { run } = createConsole(context, { operations: { close, queue } })
  assert.equal(await run(['queue', 'list']), EXIT.software)
  assert.equal(await run(['account', 'list']), EXIT.ok)
  assert.equal(closed, 2)
})
