// `queue list` and `queue show`: what is in the queue. No subject and no body: the store's listings have no
// place for them.
import type { JournalEntry } from '../journal/entry.ts'
import type { DeliveryFilter, QueueControl, QueueListing } from '../queue/store.ts'
import { Fault } from '../runtime/fault.ts'
import { type Command, numberOption } from './command.ts'
import { withOperations } from './configuration.ts'
import { factsText } from './events.ts'
import { EXIT } from './exit-code.ts'
import { countText, printJson, tableText, timeText } from './output.ts'
import type { Terminal } from './ports.ts'
import { DELIVERY, FILTER_OPTIONS, filterOf, isDeliveryName, messageIdOf } from './queue-filter.ts'

const LIMIT_INITIAL = 100
const LIMIT_MAX = 100_000
const PAGE = 1000

/**
 * Deliveries in order of age, page by page, with progress for those who wait. Ends after `limit`.
 * @param after a `messageId:index` to go on after
 */
export async function* listPages(
  queue: Pick<QueueControl, 'list'>,
  terminal: Terminal,
  filter: DeliveryFilter,
  limit = Number.POSITIVE_INFINITY,
  after?: string,
): AsyncGenerator<QueueListing[]> {
  let last = after
  for (let found = 0; found < limit; ) {
    const size = Math.min(PAGE, limit - found)
    const page = await queue.list({ ...filter, limit: size, ...(last === undefined ? {} : { after: last }) })
    found += page.length
    last = page.map(nameOf).at(-1)
    terminal.progress(`${countText(found, 'delivery', 'deliveries')} read`)
    if (page.length > 0) yield page
    if (page.length < size) return
  }
}

/** `01k9x0c2m3n4p5q6r7:0` */
export const nameOf = ({ messageId, index }: QueueListing): string => `${messageId}:${index}`

export const queueList: Command = {
  words: ['queue', 'list'],
  summary: 'list the deliveries in the queue, oldest first',
  positionals: [DELIVERY],
  options: [
    ...FILTER_OPTIONS,
    { name: 'limit', value: 'N', help: `at most so many; default ${LIMIT_INITIAL}` },
    { name: 'after', value: 'ID:INDEX', help: 'go on after this delivery of a former list' },
  ],
  examples: [
    'queue list',
    'queue list --domain recipient.example --older-than 4h --json',
    'queue list --status held --limit 1000',
  ],
  run(call) {
    const limit = numberOption(call, 'limit', LIMIT_INITIAL, LIMIT_MAX)
    const filter = filterOf(call)
    const after = call.text('after')
    if (after !== undefined && !isDeliveryName(after)) {
      throw new Fault('usage', `--after: "${after}" is not a delivery such as 01k9x0c2m3n4p5q6r7:0`)
    }
    return withOperations(call, async ({ queue }) => {
      const { terminal } = call
      const pages = await Array.fromAsync(listPages(queue, terminal, filter, limit, after))
      const listings = pages.flat()
      if (call.has('json')) {
        printJson(terminal, listings)
        return EXIT.ok
      }
      const counts = await queue.counts()
      if (listings.length > 0) terminal.out(tableText(HEAD, listings.map(row)))
      const total = counts.waiting + counts.active + counts.held
      const states = `${counts.waiting} waiting, ${counts.active} active, ${counts.held} held`
      terminal.out(`${countText(total, 'delivery', 'deliveries')} in the queue: ${states}`)
      return EXIT.ok
    })
  },
}

const HEAD = ['DELIVERY', 'ACCEPTED', 'TRIES', 'NEXT', 'FROM', 'TO', 'LAST TROUBLE']

const row = (listing: QueueListing): string[] => [
  nameOf(listing),
  timeText(listing.acceptedAt),
  String(listing.attempts),
  nextText(listing),
  senderText(listing.reversePath),
  listing.forwardPath,
  troubleText(listing, 120),
]

const nextText = ({ nextAttemptAt, status }: QueueListing): string =>
  nextAttemptAt === null ? status : timeText(nextAttemptAt)

const senderText = (reversePath: string): string => (reversePath === '' ? '<>' : reversePath)

const troubleText = ({ lastFailure }: QueueListing, lengthMax: number): string =>
  lastFailure === null
    ? ''
    : `${lastFailure.status} ${lastFailure.cause}: ${lastFailure.text}`.slice(0, lengthMax)

export const queueShow: Command = {
  words: ['queue', 'show'],
  summary: 'show a message: its facts, its deliveries and what happened to it',
  positionals: ['ID'],
  options: [],
  examples: ['queue show 01k9x0c2m3n4p5q6r7', 'queue show 01k9x0c2m3n4p5q6r7 --json'],
  run(call) {
    const messageId = messageIdOf(call.positionals[0] ?? '')
    return withOperations(call, async ({ queue, journal }) => {
      const { terminal } = call
      const deliveries = (await Array.fromAsync(listPages(queue, terminal, { messageId }))).flat()
      const entries = await journal.trace(messageId)
      const isKnown = deliveries.length + entries.length > 0
      if (call.has('json')) {
        printJson(terminal, { messageId, message: factsOf(deliveries[0]), deliveries, journal: entries })
      } else if (isKnown) terminal.out(messageText(messageId, deliveries, entries))
      else terminal.err('nothing is known')
      return isKnown ? EXIT.ok : EXIT.failed
    })
  },
}

/** What all deliveries of a message have in common; `null` when none is left. */
function factsOf(delivery: QueueListing | undefined) {
  if (delivery === undefined) return null
  const { customer, reversePath, sizeBytes, acceptedAt, expiresAt } = delivery
  return { customer, reversePath, sizeBytes, acceptedAt, expiresAt }
}

function messageText(
  messageId: string,
  deliveries: readonly QueueListing[],
  entries: readonly JournalEntry[],
): string {
  const facts = factsOf(deliveries[0])
  const message =
    facts === null
      ? [['STATE', 'no longer in the queue']]
      : [
          ['CUSTOMER', facts.customer ?? '(this gateway)'],
          ['FROM', senderText(facts.reversePath)],
          ['SIZE', `${facts.sizeBytes} octets`],
          ['ACCEPTED', timeText(facts.acceptedAt)],
          ['EXPIRES', timeText(facts.expiresAt)],
        ]
  const rows = deliveries.map((delivery) => [
    String(delivery.index),
    delivery.status,
    String(delivery.attempts),
    delivery.nextAttemptAt === null ? '' : timeText(delivery.nextAttemptAt),
    delivery.forwardPath,
    troubleText(delivery, 500),
  ])
  const story = entries.map((entry) => [
    timeText(entry.at),
    entry.kind,
    entry.forwardPath ?? '',
    factsText(entry),
  ])
  return [
    tableText(['MESSAGE', messageId], message),
    ...(rows.length === 0
      ? []
      : [tableText(['INDEX', 'STATE', 'TRIES', 'NEXT', 'TO', 'LAST TROUBLE'], rows)]),
    ...(story.length === 0 ? [] : [tableText(['WHEN', 'EVENT', 'TO', 'FACTS'], story)]),
  ].join('\n\n')
}
