import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXIT } from '../../src/cli/exit-code.ts'
import type { JournalEntry } from '../../src/journal/entry.ts'
import type { DeliveryFilter, QueueListing } from '../../src/queue/store.ts'
import { createConsole, createConsoleQueue } from './console.ts'

const ID = '01k9x0c2m3n4p5q6r7'
const HOUR = 3_600_000
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
      queue: createConsoleQueue({
        list: async () => [
          LISTING,
          { ...LISTING, index: 1, nextAttemptAt: null, status: 'held', lastFailure: null },
        ],
        counts: async () => ({ waiting: 1, active: 0, held: 1 }),
      }),
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
  const asked: Partial<DeliveryFilter>[] = []
  const { run, out } = createConsole(context, {
    operations: {
      queue: createConsoleQueue({
        list: async (options) => {
          asked.push(options)
          return [LISTING]
        },
      }),
    },
  })
  const filters = [
    ...['--domain', 'Müller.example', '--customer', 'muster', '--limit', '7', '--after', `${ID}:3`],
    ...['--cause', 'connection-trouble', '--status', 'held', '--older-than', '4h'],
  ]
  const begun = Date.now()
  assert.equal(await run(['queue', 'list', '--json', ...filters]), EXIT.ok)
  const [{ acceptedBefore = 0, ...rest } = {}, ...more] = asked
  assert.ok(acceptedBefore >= begun - 4 * HOUR && acceptedBefore <= Date.now() - 4 * HOUR)
  assert.deepEqual(more, [])
  assert.deepEqual(rest, {
    limit: 7,
    domain: 'xn--mller-kva.example',
    customer: 'muster',
    cause: 'connection-trouble',
    status: 'held',
    after: `${ID}:3`,
  })
  assert.deepEqual(JSON.parse(out.join('\n')), [LISTING])
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
  const queue = createConsoleQueue({ list: () => Promise.reject(new Error('broken')) })
  const { run } = createConsole(context, { operations: { close, queue } })
  assert.equal(await run(['queue', 'list']), EXIT.software)
  assert.equal(await run(['account', 'list']), EXIT.ok)
  assert.equal(closed, 2)
})

test('O3: queue list asks for page after page, with progress, until it has enough', async (context) => {
  const asked: unknown[] = []
  const all = Array.from({ length: 2500 }, (_, index) => ({ ...LISTING, index }))
  const { run, out, progress } = createConsole(context, {
    operations: {
      queue: createConsoleQueue({
        list: async ({ limit, after }) => {
          asked.push([limit, after])
          const from = after === undefined ? 0 : Number(after.split(':')[1]) + 1
          return all.slice(from, from + limit)
        },
      }),
    },
  })
  assert.equal(await run(['queue', 'list', ID, '--limit', '2200', '--json']), EXIT.ok)
  assert.deepEqual(asked, [
    [1000, undefined],
    [1000, `${ID}:999`],
    [200, `${ID}:1999`],
  ])
  assert.equal(JSON.parse(out.join('')).length, 2200)
  assert.deepEqual(progress, ['1000 deliveries read', '2000 deliveries read', '2200 deliveries read'])
})

test('O3: queue show tells facts, deliveries and story of a message, and nothing of its content', async (context) => {
  const operations = {
    queue: createConsoleQueue({
      list: async ({ messageId, after }) =>
        messageId === ID && after === undefined
          ? [LISTING, { ...LISTING, index: 1, nextAttemptAt: null, status: 'held', lastFailure: null }]
          : [],
    }),
    journal: {
      append: async () => {},
      trace: async (id: string) => (id === ID ? [ENTRY] : []),
      between: async () => [],
    },
  }
  const { run, out, err } = createConsole(context, { operations })
  assert.equal(await run(['queue', 'show', ID]), EXIT.ok)
  assert.equal(
    out.join('\n'),
    `MESSAGE   ${ID}
CUSTOMER  muster
FROM      a@muster.example
SIZE      1234 octets
ACCEPTED  2026-01-05 09:00:00Z
EXPIRES   2026-01-10 09:00:00Z

INDEX  STATE    TRIES  NEXT                  TO                   LAST TROUBLE
0      waiting  2      2026-01-05 10:00:00Z  b@recipient.example  4.4.1 unreachable: timed out  [31m
1      held     2                            b@recipient.example

WHEN                  EVENT      TO                   FACTS
2026-01-05 09:00:00Z  delivered  b@recipient.example  reply=250 2.0.0 ok tlsProtocol=TLSv1.3`,
  )
  assert.equal(await run(['queue', 'show', ID, '--json']), EXIT.ok)
  const shown = JSON.parse(out.join(''))
  assert.deepEqual(Object.keys(shown), ['messageId', 'message', 'deliveries', 'journal'])
  assert.deepEqual(shown.message, {
    customer: 'muster',
    reversePath: 'a@muster.example',
    sizeBytes: 1234,
    acceptedAt: LISTING.acceptedAt,
    expiresAt: LISTING.expiresAt,
  })
  assert.deepEqual([shown.deliveries[0], shown.journal], [LISTING, [ENTRY]])
  assert.equal(await run(['queue', 'show', '01k9x0c2m3n4p5q6r8']), EXIT.failed)
  assert.deepEqual(err, ['nothing is known'])
})

test('O3: queue show still tells the story of a message that is gone', async (context) => {
  const journal = { append: async () => {}, trace: async () => [ENTRY], between: async () => [] }
  const { run, out } = createConsole(context, { operations: { journal } })
  assert.equal(await run(['queue', 'show', ID]), EXIT.ok)
  assert.equal(out.join('').startsWith(`MESSAGE  ${ID}\nSTATE    no longer in the queue\n`), true)
  assert.equal(await run(['queue', 'show', ID, '--json']), EXIT.ok)
  assert.equal(JSON.parse(out.join('')).message, null)
})
