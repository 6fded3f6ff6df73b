// `queue …`: what waits, and making it due now. A running gateway notices within seconds.
import type { QueueListing } from '../queue/store.ts'
import { Fault } from '../runtime/fault.ts'
import { isId } from '../runtime/ids.ts'
import { parseDomain } from '../smtp/domain.ts'
import { type Call, type Command, numberOption } from './command.ts'
import { withOperations } from './configuration.ts'
import { EXIT } from './exit-code.ts'
import { countText, printJson, tableText, timeText } from './output.ts'

const LIMIT_INITIAL = 100
const LIMIT_MAX = 100_000

export const queueList: Command = {
  words: ['queue', 'list'],
  summary: 'list waiting deliveries, oldest first',
  positionals: [],
  options: [
    { name: 'domain', value: 'DOMAIN', help: 'only recipients of this domain' },
    { name: 'customer', value: 'NAME', help: 'only mail of this customer' },
    { name: 'limit', value: 'N', help: `at most so many; default ${LIMIT_INITIAL}` },
    { name: 'after', value: 'ID:INDEX', help: 'go on after this delivery of a former list' },
  ],
  examples: ['queue list', 'queue list --domain recipient.example --json', 'queue list --limit 1000'],
  run(call) {
    const limit = numberOption(call, 'limit', LIMIT_INITIAL, LIMIT_MAX)
    const domain = domainOption(call)
    const customer = call.text('customer')
    const after = call.text('after')
    if (after !== undefined && !/^[0-9a-z]{18}:[0-9]{1,6}$/.test(after)) {
      throw new Fault('usage', `--after: "${after}" is not a delivery such as 01k9x0c2m3n4p5q6r7:0`)
    }
    return withOperations(call, async ({ queue }) => {
      const [listings, counts] = await Promise.all([
        queue.list({
          limit,
          ...(domain === undefined ? {} : { domain }),
          ...(customer === undefined ? {} : { customer }),
          ...(after === undefined ? {} : { after }),
        }),
        queue.counts(),
      ])
      if (call.has('json')) {
        printJson(call.terminal, listings)
        return EXIT.ok
      }
      if (listings.length > 0) call.terminal.out(tableText(HEAD, listings.map(row)))
      const total = counts.waiting + counts.active + counts.held
      const states = `${counts.waiting} waiting, ${counts.active} active, ${counts.held} held`
      call.terminal.out(`${countText(total, 'delivery', 'deliveries')} in the queue: ${states}`)
      return EXIT.ok
    })
  },
}

const HEAD = ['DELIVERY', 'ACCEPTED', 'TRIES', 'NEXT', 'FROM', 'TO', 'LAST TROUBLE']

const row = (listing: QueueListing): string[] => [
  `${listing.messageId}:${listing.index}`,
  timeText(listing.acceptedAt),
  String(listing.attempts),
  listing.nextAttemptAt === null ? listing.status : timeText(listing.nextAttemptAt),
  listing.reversePath === '' ? '<>' : listing.reversePath,
  listing.forwardPath,
  listing.lastFailure === null
    ? ''
    : `${listing.lastFailure.status} ${listing.lastFailure.cause}: ${listing.lastFailure.text}`.slice(0, 120),
]

export const queueRetry: Command = {
  words: ['queue', 'retry'],
  summary: 'make waiting deliveries due now: of a message, of a domain, or all',
  positionals: ['[ID]'],
  options: [
    { name: 'domain', value: 'DOMAIN', help: 'deliveries to this domain' },
    { name: 'all', help: 'every waiting delivery' },
  ],
  examples: ['queue retry 01k9x0c2m3n4p5q6r7', 'queue retry --domain recipient.example', 'queue retry --all'],
  run(call) {
    const [messageId] = call.positionals
    const domain = domainOption(call)
    if ([messageId !== undefined, domain !== undefined, call.has('all')].filter(Boolean).length !== 1) {
      throw new Fault('usage', 'give one of: a message id, --domain, --all')
    }
    if (messageId !== undefined && !isId(messageId)) {
      throw new Fault('usage', `"${messageId}" is not a message id such as 01k9x0c2m3n4p5q6r7`)
    }
    return withOperations(call, async ({ queue }) => {
      const retried = await queue.retryNow({
        ...(messageId === undefined ? {} : { messageId }),
        ...(domain === undefined ? {} : { domain }),
      })
      if (call.has('json')) printJson(call.terminal, { retried })
      else if (retried > 0)
        call.terminal.out(`${countText(retried, 'delivery is', 'deliveries are')} due now`)
      else call.terminal.err('no such delivery waits')
      return retried > 0 || call.has('all') ? EXIT.ok : EXIT.failed
    })
  },
}

function domainOption(call: Call): string | undefined {
  const text = call.text('domain')
  if (text === undefined) return undefined
  const domain = parseDomain(text)
  if (domain === null) throw new Fault('usage', `--domain: "${text}" is not a domain such as example.org`)
  return domain
}
