// What operators do to deliveries: what the store is asked, what is printed, what the event log learns.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { EXIT } from '../../src/cli/exit-code.ts'
import type { JournalEntry } from '../../src/journal/entry.ts'
import { sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createMemoryQueue } from '../support/memory-queue.ts'
import { createConsole, createConsoleQueue } from './console.ts'

const ID = '01k9x0c2m3n4p5q6r7'

const cases: readonly [words: string[], asked: unknown[], out: string[]][] = [
  [['retry', ID], ['retryNow', { messageId: ID }], ['2 deliveries are due now']],
  [['retry', `${ID}:3`], ['retryNow', { messageId: ID, index: 3 }], ['2 deliveries are due now']],
  [['retry', '--domain', 'a.example'], ['retryNow', { domain: 'a.example' }], ['2 deliveries are due now']],
  [['retry', '--all', '--json'], ['retryNow', {}], ['{\n  "changed": 2\n}']],
  [['hold', '--customer', 'muster'], ['hold', { customer: 'muster' }], ['2 deliveries are held']],
  [['release', '--all'], ['unhold', {}], ['2 deliveries are released and due now']],
  [
    ['drop', '--cause', 'spam'],
    ['drop', { cause: 'spam' }, true],
    ['2 deliveries are dropped, the sender is told'],
  ],
  [
    ['drop', ID, '--silent'],
    ['drop', { messageId: ID }, false],
    ['2 deliveries are dropped, nobody is told'],
  ],
  [
    ['move', '--domain', 'a.example', '--to', 'MX.backup.example'],
    ['move', { domain: 'a.example' }, 'mx.backup.example:25'],
    ['2 deliveries now go to mx.backup.example:25'],
  ],
  [
    ['move', '--all', '--to', '[2001:db8::25]:2525'],
    ['move', {}, '[2001:db8::25]:2525'],
    ['2 deliveries now go to [2001:db8::25]:2525'],
  ],
  [
    ['move', '--status', 'held', '--undo'],
    ['move', { status: 'held' }, null],
    ["2 deliveries now go to the domain's own hosts"],
  ],
]
for (const [words, expected, printed] of cases) {
  test(`O3: queue ${words.join(' ')}`, async (context) => {
    const asked: unknown[] = []
    let changed = 2
    const note =
      (name: string) =>
      async (...values: unknown[]) => {
        asked.push([name, ...values])
        return changed
      }
    const queue = createConsoleQueue({
      retryNow: note('retryNow'),
      hold: note('hold'),
      unhold: note('unhold'),
      drop: note('drop'),
      move: note('move'),
    })
    const { run, out, err } = createConsole(context, { operations: { queue } })
    assert.equal(await run(['queue', ...words]), EXIT.ok)
    assert.deepEqual(asked, [expected])
    assert.deepEqual(out, printed)
    changed = 0
    const code = await run(['queue', ...words])
    // `--all` asks for whatever there is, which may be nothing.
    assert.equal(code, words.includes('--all') ? EXIT.ok : EXIT.failed)
    if (!words.includes('--json'))
      assert.deepEqual(err, ['there is no such delivery, or an attempt is running'])
  })
}

async function createQueueConsole(context: TestContext) {
  const clock = createManualClock()
  const memory = createMemoryQueue(clock)
  const entries: JournalEntry[] = []
  for (const [index, domain] of ['a.example', 'b.example', 'b.example'].entries()) {
    const meta = sampleMeta(`01k9x0c2m3n4p5q6r${index}`, clock.now() + index, 0)
    const body = { sizeBytes: 0, inMemory: [], location: 'memory' }
    await memory.enqueue({ meta, recipients: [sampleRecipient(`x${index}@${domain}`)], body }, [], {
      lease: false,
    })
  }
  const journal = {
    append: async (more: readonly JournalEntry[]) => void entries.push(...more),
    trace: async () => [],
    between: async () => [],
  }
  const operations = { queue: { ...memory, masterKeyUsage: async () => [] }, journal }
  const console = createConsole(context, { operations })
  const story = () => entries.splice(0).map(({ kind, forwardPath, facts }) => [kind, forwardPath, facts])
  return { ...console, memory, story }
}

const HELD = { index: 0, detail: 'An operator put the delivery aside.' }
const RELEASED = { index: 0, detail: 'An operator released the delivery.' }

test('A3 O3: the event log tells of each delivery that an operator holds and releases, once', async (context) => {
  const { run, memory, story } = await createQueueConsole(context)
  assert.equal(await run(['queue', 'hold', '01k9x0c2m3n4p5q6r1']), EXIT.ok)
  assert.deepEqual(story(), [['held', 'x1@b.example', HELD]])
  assert.equal(await run(['queue', 'hold', '--domain', 'b.example']), EXIT.ok)
  assert.deepEqual(story(), [['held', 'x2@b.example', HELD]])
  assert.deepEqual(await memory.counts(), { waiting: 1, active: 0, held: 2 })
  assert.equal(await run(['queue', 'hold', '--domain', 'b.example']), EXIT.failed)
  assert.deepEqual(story(), [])
  assert.equal(await run(['queue', 'release', '--all']), EXIT.ok)
  assert.deepEqual(story(), [
    ['released', 'x1@b.example', RELEASED],
    ['released', 'x2@b.example', RELEASED],
  ])
  assert.deepEqual(await memory.counts(), { waiting: 3, active: 0, held: 0 })
  assert.equal(await run(['queue', 'release', '--status', 'waiting']), EXIT.failed)
  assert.deepEqual(story(), [])
})
