// `queue retry|hold|release|drop|move`: what operators do to deliveries that no attempt holds right now. A
// running gateway notices within seconds.
//
// The event log tells of holding and releasing: the entries are written here. Released is written first, held
// afterwards: a crash between the two leaves an entry too many or too few, never a wrong state. What is dropped
// is written by the gateway with the end of the delivery.
import type { JournalEntry, JournalKind } from '../journal/entry.ts'
import type { DeliveryFilter, QueueListing } from '../queue/store.ts'
import { systemClock } from '../runtime/clock.ts'
import { Fault } from '../runtime/fault.ts'
import { fixedHostText, parseFixedHost } from '../smtp/fixed-host.ts'
import type { Call, Command } from './command.ts'
import { withOperations } from './configuration.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { countText, printJson } from './output.ts'
import type { Operations } from './ports.ts'
import { listPages, nameOf } from './queue.ts'
import { ALL_OPTION, changeFilterOf, DELIVERY, FILTER_OPTIONS } from './queue-filter.ts'

const PORT_OF_MX_HOSTS = 25

/** What all these commands have in common. `done` completes "3 deliveries …". */
function runChange(
  call: Call,
  done: (changed: number) => string,
  change: (operations: Operations, filter: DeliveryFilter) => Promise<number>,
): Promise<ExitCode> {
  const filter = changeFilterOf(call)
  return withOperations(call, async (operations) => {
    const { terminal } = call
    terminal.progress('at work…')
    const changed = await change(operations, filter)
    if (call.has('json')) printJson(terminal, { changed })
    else if (changed > 0) terminal.out(`${countText(changed, 'delivery', 'deliveries')} ${done(changed)}`)
    else terminal.err('there is no such delivery, or an attempt is running')
    return changed > 0 || call.has('all') ? EXIT.ok : EXIT.failed
  })
}

const isOrAre = (count: number): string => (count === 1 ? 'is' : 'are')

export const queueRetry: Command = {
  words: ['queue', 'retry'],
  summary: 'make waiting deliveries due now',
  positionals: [DELIVERY],
  options: [...FILTER_OPTIONS, ALL_OPTION],
  examples: ['queue retry 01k9x0c2m3n4p5q6r7', 'queue retry --domain recipient.example', 'queue retry --all'],
  run: (call) =>
    runChange(
      call,
      (changed) => `${isOrAre(changed)} due now`,
      ({ queue }, filter) => queue.retryNow(filter),
    ),
}

export const queueHold: Command = {
  words: ['queue', 'hold'],
  summary: 'put waiting deliveries aside: no attempt until they are released; their lifetime runs on',
  positionals: [DELIVERY],
  options: [...FILTER_OPTIONS, ALL_OPTION],
  examples: ['queue hold 01k9x0c2m3n4p5q6r7:0', "queue hold --customer 'Kanzlei Muster'"],
  run: (call) =>
    runChange(
      call,
      (changed) => `${isOrAre(changed)} held`,
      (operations, filter) => hold(call, operations, filter),
    ),
}

export const queueRelease: Command = {
  words: ['queue', 'release'],
  summary: 'make held deliveries due now',
  positionals: [DELIVERY],
  options: [...FILTER_OPTIONS, ALL_OPTION],
  examples: ['queue release 01k9x0c2m3n4p5q6r7', 'queue release --all'],
  run: (call) =>
    runChange(
      call,
      (changed) => `${isOrAre(changed)} released and due now`,
      (operations, filter) => release(call, operations, filter),
    ),
}

export const queueDrop: Command = {
  words: ['queue', 'drop'],
  summary: 'end waiting or held deliveries for good; the sender is told, unless --silent',
  positionals: [DELIVERY],
  options: [
    ...FILTER_OPTIONS,
    ALL_OPTION,
    { name: 'silent', help: 'tell nobody; for backscatter and loops' },
  ],
  examples: ['queue drop 01k9x0c2m3n4p5q6r7', 'queue drop --customer hacked --cause spam --silent'],
  run(call) {
    const isSilent = call.has('silent')
    return runChange(
      call,
      (changed) => `${isOrAre(changed)} dropped, ${isSilent ? 'nobody' : 'the sender'} is told`,
      ({ queue }, filter) => queue.drop(filter, !isSilent),
    )
  },
}

export const queueMove: Command = {
  words: ['queue', 'move'],
  summary: 'send deliveries to another host than their domain names, with the same demands on encryption',
  positionals: [DELIVERY],
  options: [
    ...FILTER_OPTIONS,
    ALL_OPTION,
    { name: 'to', value: 'HOST:PORT', help: `the host; port ${PORT_OF_MX_HOSTS} unless given` },
    { name: 'undo', help: "back to the domain's own hosts" },
  ],
  examples: [
    'queue move --domain recipient.example --to mx.backup.example:25',
    'queue move 01k9x0c2m3n4p5q6r7 --to [2001:db8::25]:2525',
    'queue move --domain recipient.example --undo',
  ],
  run(call) {
    const text = call.text('to')
    if ((text === undefined) !== call.has('undo')) throw new Fault('usage', 'give either --to or --undo')
    const route = text === undefined ? null : routeOf(text)
    return runChange(
      call,
      (changed) => `now ${changed === 1 ? 'goes' : 'go'} to ${route ?? "the domain's own hosts"}`,
      ({ queue }, filter) => queue.move(filter, route),
    )
  },
}

function routeOf(text: string): string {
  const host = parseFixedHost(text)
  if (host !== null) return fixedHostText(host, PORT_OF_MX_HOSTS)
  throw new Fault(
    'usage',
    `--to: "${text}" is not a host such as mx.example.org:25, 192.0.2.1:25 or [2001:db8::1]:25`,
  )
}

/** Holds, and writes down what was not held before and is now. */
async function hold(call: Call, { queue, journal }: Operations, filter: DeliveryFilter): Promise<number> {
  const { status } = filter
  if (status !== undefined && status !== 'waiting') return 0
  const held: DeliveryFilter = { ...filter, status: 'held' }
  const before = new Set<string>()
  for await (const page of listPages(queue, call.terminal, held))
    for (const one of page) before.add(nameOf(one))
  const changed = await queue.hold(filter)
  if (changed === 0) return 0
  for await (const page of listPages(queue, call.terminal, held)) {
    const fresh = page.filter((one) => !before.has(nameOf(one)))
    await journal.append(fresh.map((one) => entryOf(one, 'held', 'An operator put the delivery aside.')))
  }
  return changed
}

/** Writes down what is held, and releases it. */
async function release(call: Call, { queue, journal }: Operations, filter: DeliveryFilter): Promise<number> {
  const { status } = filter
  if (status !== undefined && status !== 'held') return 0
  for await (const page of listPages(queue, call.terminal, { ...filter, status: 'held' })) {
    await journal.append(page.map((one) => entryOf(one, 'released', 'An operator released the delivery.')))
  }
  return queue.unhold(filter)
}

const entryOf = (
  { messageId, index, customer, reversePath, forwardPath }: QueueListing,
  kind: JournalKind,
  detail: string,
): JournalEntry => {
  const facts = { index, detail }
  return { at: systemClock.now(), kind, messageId, customer, reversePath, forwardPath, facts }
}
