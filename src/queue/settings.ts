// Settings of the queue: how much memory and disk it may use and must leave free, and what it is encrypted with.
// Pauses between attempts are the delivery room's (`delivery.retry`), the schedule that uses them is `schedule.ts`.
import { z } from 'zod'
import { size } from '../runtime/settings.ts'
import { readMasterKey } from './master-keys.ts'

export const queueSettings = z.strictObject({
  memoryBudget: size(
    '128MB',
    { min: '0', max: '16GB' },
    {
      description:
        'Memory for the bodies of mail on its first delivery attempt, all together. Beyond it they are read back from disk.',
      reload: 'restart',
    },
  ),
  diskReserve: size(
    '512MB',
    { min: '0', max: '1024GB' },
    {
      description:
        'Free space in the data directory below which new mail is answered with 452. What is queued goes on. `0` switches the check off.',
      reload: 'restart',
    },
  ),
  ballast: size(
    '128MB',
    { min: '0', max: '16GB' },
    {
      description:
        'Size of a file that only keeps space: removed when the disk is full, so that the queue can drain, and written anew afterwards. `0` switches it off.',
      reload: 'restart',
    },
  ),
})

/** All in octets. */
export type QueueSettings = z.output<typeof queueSettings>

const SOURCES = '32 random octets in hex or base64, from { file: PATH } or { env: NAME }'

const masterKey = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, { error: 'up to 32 letters, digits, dots, dashes' })
    .meta({
      description: 'Name of the key, e.g. the month it was made. Never use one again for another key.',
    }),
  key: z
    .string()
    .transform((text, context) => {
      const read = readMasterKey(text)
      if (read.kind === 'key') return read.key
      context.addIssue({ code: 'custom', message: `${SOURCES}; ${read.text}` })
      return z.NEVER
    })
    .meta({
      description:
        'The key: 32 random octets in hex or base64 (`openssl rand -base64 32`), outside of `dataDirectory`. A path may begin with `$CREDENTIALS_DIRECTORY/` (systemd `LoadCredential=`).',
    }),
})

export const encryptionSettings = z.strictObject({
  masterKeys: z.array(masterKey).max(16, { error: 'at most 16 master keys' }).default([]).meta({
    description:
      'What the mail in the queue is encrypted with. The first one is for new mail; put a new one first to change it, and remove an old one when `key status` counts no message for it. Without any, mail lies unencrypted on disk.',
    reload: 'restart',
  }),
  acceptUnencrypted: z.boolean().default(true).meta({
    description:
      'Deliver mail that was queued unencrypted before there was a master key. Set it to false five days later: from then on what lies unencrypted in the queue counts as damaged.',
    reload: 'restart',
  }),
})

/** `key` holds 32 octets and shows them nowhere, neither in a log nor as JSON. */
export type EncryptionSettings = z.output<typeof encryptionSettings>
