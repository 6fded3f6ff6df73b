// Documents made from the catalogues in code: replies, log events, metrics. Pure; `generate.ts` writes them,
// `test/docs.test.ts` compares them.
import { EVENTS } from '../observability/events.ts'
import { METRICS } from '../observability/metric-catalogue.ts'
import { REPLIES } from '../smtp/replies.ts'

const GENERATED = 'by `npm run generate`; do not edit.'

/** `docs/replies.md`: every reply of ours, by id. */
export const repliesMarkdown = (): string =>
  document('Replies', [
    `What a client can be told in the SMTP dialogue. Generated from \`src/smtp/replies.ts\` ${GENERATED}`,
    'Ids stand in the log (`replyId`) and are never re-used. `{name}` stands for a value.',
    '',
    ...table(
      ['id', 'reply', 'what to do'],
      Object.entries(REPLIES).map(([id, { code, enhanced, text, advice }]) => [
        `\`${id}\``,
        `\`${code} ${enhanced} ${text}\``,
        advice,
      ]),
    ),
  ])

/** `docs/events.md`: every log event, by name. */
export const eventsMarkdown = (): string =>
  document('Log events', [
    `Lines of the log are JSON objects with \`time\`, \`level\`, \`event\` and the fields named here. Generated from`,
    `\`src/observability/events.ts\` ${GENERATED} No event holds a subject, a body, a password or a header field.`,
    '',
    ...table(
      ['event', 'level', 'what it says', 'fields'],
      Object.entries(EVENTS).map(([name, { level, sentence, fields }]) => [
        `\`${name}\``,
        level,
        sentence,
        fields.map((field) => `\`${field}\``).join(' '),
      ]),
    ),
  ])

/** `docs/metrics.md`: every metric, by name. */
export const metricsMarkdown = (): string =>
  document('Metrics', [
    `What \`/metrics\` shows, for Prometheus. Generated from \`src/observability/metric-catalogue.ts\``,
    `${GENERATED} Label values come from the sets shown, or are \`other\`; none is ever a domain or an address.`,
    '',
    ...table(
      ['metric', 'kind', 'what it says', 'labels'],
      Object.entries(METRICS).map(([name, { kind, help, labels }]) => [
        `\`${name}\``,
        kind,
        help,
        Object.entries(labels)
          .map(([label, values]) => `\`${label}\`: ${values.join(', ')}`)
          .join('; '),
      ]),
    ),
  ])

const document = (title: string, lines: readonly string[]): string => `# ${title}\n\n${lines.join('\n')}\n`

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map(() => '---')),
  ...rows.map(row),
]

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
