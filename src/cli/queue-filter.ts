// Which deliveries a `queue` command means: `ID`, `ID:INDEX` and options become one filter; all of them must
// hold. A command that changes something takes an empty filter only with `--all`.
import { CAUSES } from '../queue/outcome.ts'
import type { DeliveryFilter, QueueListing } from '../queue/store.ts'
import { systemClock } from '../runtime/clock.ts'
import { Fault } from '../runtime/fault.ts'
import { isId } from '../runtime/ids.ts'
import { parseDuration } from '../runtime/settings.ts'
import { parseDomain } from '../smtp/domain.ts'
import type { Call, Option } from './command.ts'

/** How the positional of these commands stands in help and manual. */
export const DELIVERY = '[ID[:INDEX]]'
const STATUSES: readonly QueueListing['status'][] = ['waiting', 'active', 'held']

export const FILTER_OPTIONS: readonly Option[] = [
  { name: 'domain', value: 'DOMAIN', help: 'only recipients of this domain' },
  { name: 'customer', value: 'NAME', help: 'only mail of this customer' },
  { name: 'older-than', value: 'DURATION', help: 'only mail accepted at least so long ago, e.g. 4h' },
  {
    name: 'cause',
    value: 'CAUSE',
    help: 'only with this cause of the last failure, e.g. connection-trouble',
  },
  { name: 'status', value: STATUSES.join('|'), help: 'only in this state' },
]

/** For commands that change something. */
export const ALL_OPTION: Option = { name: 'all', help: 'every delivery; needed when nothing else is given' }

/** The filter of a command line. Throws a `usage` fault. */
export function filterOf(call: Call): DeliveryFilter {
  const [delivery] = call.positionals
  const domain = domainOption(call)
  const customer = call.text('customer')
  const acceptedBefore = olderThanOption(call)
  const cause = listedOption(call, 'cause', CAUSES)
  const status = listedOption(call, 'status', STATUSES)
  return {
    ...(delivery === undefined ? {} : deliveryOf(delivery)),
    ...(domain === undefined ? {} : { domain }),
    ...(customer === undefined ? {} : { customer }),
    ...(acceptedBefore === undefined ? {} : { acceptedBefore }),
    ...(cause === undefined ? {} : { cause }),
    ...(status === undefined ? {} : { status }),
  }
}

/** The same for a command that changes something: nothing at all means nothing, unless `--all` says so. */
export function changeFilterOf(call: Call): DeliveryFilter {
  const filter = filterOf(call)
  const isEmpty = Object.keys(filter).length === 0
  if (isEmpty && !call.has('all')) {
    throw new Fault('usage', 'say which: a message id, a filter such as --domain, or --all')
  }
  if (!isEmpty && call.has('all')) throw new Fault('usage', '--all stands alone, without id and filters')
  return filter
}

/** A message id. Throws a `usage` fault. */
export function messageIdOf(text: string): string {
  if (isId(text)) return text
  throw new Fault('usage', `"${text}" is not a message id such as 01k9x0c2m3n4p5q6r7`)
}

/** A text such as `01k9x0c2m3n4p5q6r7:0` names one delivery. */
export const isDeliveryName = (text: string): boolean => {
  const [id = '', index = '', ...rest] = text.split(':')
  return isId(id) && /^[0-9]{1,6}$/.test(index) && rest.length === 0
}

function deliveryOf(text: string): DeliveryFilter {
  if (!isDeliveryName(text)) return { messageId: messageIdOf(text) }
  const [messageId = '', index] = text.split(':')
  return { messageId, index: Number(index) }
}

function domainOption(call: Call): string | undefined {
  const text = call.text('domain')
  if (text === undefined) return undefined
  const domain = parseDomain(text)
  if (domain === null) throw new Fault('usage', `--domain: "${text}" is not a domain such as example.org`)
  return domain
}

function olderThanOption(call: Call): number | undefined {
  const text = call.text('older-than')
  if (text === undefined) return undefined
  const ageMs = parseDuration(text)
  if (ageMs === null) throw new Fault('usage', `--older-than: "${text}" is not a duration such as 4h`)
  return systemClock.now() - ageMs
}

function listedOption<T extends string>(call: Call, name: string, list: readonly T[]): T | undefined {
  const text = call.text(name)
  if (text === undefined) return undefined
  const found = list.find((item) => item === text)
  if (found === undefined) throw new Fault('usage', `--${name}: "${text}" is none of ${list.join(', ')}`)
  return found
}
