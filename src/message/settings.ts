// The message room's part of the configuration, and the shape of `config/anonymise.yaml`.
import { z } from 'zod'
import { count, size } from '../runtime/settings.ts'

/** What mail cannot do without: no pattern may match one of these. */
const INDISPENSABLE = [
  'from sender reply-to to cc bcc subject date message-id in-reply-to references mime-version content-type',
  'content-transfer-encoding content-disposition content-id resent-from resent-sender resent-to resent-date',
  'dkim-signature auto-submitted disposition-notification-to tls-required x-klartext list-unsubscribe list-id',
].flatMap((line) => line.split(' '))

const matches = (pattern: string, key: string): boolean =>
  pattern.endsWith('*') ? key.startsWith(pattern.slice(0, -1).toLowerCase()) : key === pattern.toLowerCase()

/** The list of fields that are removed: each with the reason, for whoever asks later. */
export const anonymiseRules = z.strictObject({
  remove: z
    .array(
      z.strictObject({
        field: z
          .string()
          .regex(/^[!-)+-9;-~]{1,76}\*?$/, {
            error: 'a field name such as X-Mailer, or the beginning of one and *, such as X-MS-*',
          })
          .refine((pattern) => !INDISPENSABLE.some((key) => matches(pattern, key)), {
            error: 'a field that mail can do without (this one would take away From, Subject or the like)',
          })
          .meta({
            description: 'Name of the field, case ignored; * at the end stands for any continuation.',
          }),
        reason: z.string().min(1).max(200).meta({ description: 'What the field gives away.' }),
      }),
    )
    .max(2000)
    .meta({ description: 'Fields that are taken out of every message before delivery.', reload: 'live' }),
})

export type AnonymiseRules = z.output<typeof anonymiseRules>

export const messageSettings = z.strictObject({
  headerSizeMax: size(
    '256KB',
    { min: '16KB', max: '1MB' },
    {
      description: 'Largest header of a message. More is refused.',
      reload: 'live',
    },
  ),
  headerFieldsMax: count(
    1000,
    { min: 50, max: 10_000 },
    {
      description: 'Most fields in a header. More is refused.',
      reload: 'live',
    },
  ),
  hopsMax: count(
    10,
    { min: 1, max: 50 },
    {
      description: 'How often a message may pass this gateway before it counts as looping.',
      reload: 'live',
    },
  ),
  cleartextTagPosition: z
    .enum(['anywhere', 'front'], { error: 'anywhere or front' })
    .default('anywhere')
    .meta({
      description:
        'Where in the subject [Klartext] counts: anywhere, or only at its very front, so that a reply (AW: [Klartext] …) does not ask again.',
      reload: 'live',
      default: 'anywhere',
    }),
})

export type MessageSettings = z.output<typeof messageSettings>
