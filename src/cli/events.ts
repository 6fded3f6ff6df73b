// `events`: the event log of the last weeks: the story of one message, or of a span of time. No content is in
// it (A3).
import type { JournalEntry } from '../journal/entry.ts'
import { systemClock } from '../runtime/clock.ts'
import { Fault } from '../runtime/fault.ts'
import { isId } from '../runtime/ids.ts'
import { parseDuration } from '../runtime/settings.ts'
import { type Command, numberOption } from './command.ts'
import { withOperations } from './configuration.ts'
import { EXIT } from './exit-code.ts'
import { printJson, tableText, timeText } from './output.ts'

const LIMIT_INITIAL = 1000
const LIMIT_MAX = 1_000_000

export const events: Command = {
  words: ['events'],
  summary: 'show what happened to a message, or to all mail of a span of time',
  positionals: [],
  options: [
    { name: 'message', value: 'ID', help: 'the story of one message' },
    { name: 'since', value: 'DURATION', help: 'everything since so long ago; default 1h' },
    { name: 'limit', value: 'N', help: `at most so many; default ${LIMIT_INITIAL}` },
  ],
  examples: ['events --message 01k9x0c2m3n4p5q6r7', 'events --since 24h --json'],
  run(call) {
    const message = call.text('message')
    if (message !== undefined && !isId(message)) {
      throw new Fault('usage', `--message: "${message}" is not a message id such as 01k9x0c2m3n4p5q6r7`)
    }
    const sinceText = call.text('since') ?? '1h'
    const sinceMs = parseDuration(sinceText)
    if (sinceMs === null) throw new Fault('usage', `--since: "${sinceText}" is not a duration such as 24h`)
    const limit = numberOption(call, 'limit', LIMIT_INITIAL, LIMIT_MAX)
    return withOperations(call, async ({ journal }) => {
      const now = systemClock.now()
      const entries =
        message === undefined
          ? await journal.between(now - sinceMs, now + 1, limit)
          : await journal.trace(message)
      if (call.has('json')) printJson(call.terminal, entries)
      else if (entries.length > 0) call.terminal.out(tableText(HEAD, entries.map(row)))
      else call.terminal.err('nothing is known')
      return message !== undefined && entries.length === 0 ? EXIT.failed : EXIT.ok
    })
  },
}

const HEAD = ['WHEN', 'EVENT', 'MESSAGE', 'FROM', 'TO', 'FACTS']

const row = (entry: JournalEntry): string[] => [
  timeText(entry.at),
  entry.kind,
  entry.messageId,
  entry.reversePath === '' ? '<>' : entry.reversePath,
  entry.forwardPath ?? '',
  factsText(entry),
]

/** The facts of an entry in one line: `name=value`, those that are known. */
export const factsText = ({ facts }: JournalEntry): string =>
  Object.entries(facts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
