// Settings of the notices that senders get: who they come from, in which languages, how they travel.
import { z } from 'zod'
import { duration } from '../runtime/settings.ts'
import { mailboxFrom } from '../smtp/mailbox.ts'

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone.length > 0
  } catch {
    // Unknown names throw; the refinement tells which setting it was.
    return false
  }
}

export const notificationSettings = z
  .strictObject({
    from: z
      .strictObject({
        name: z
          .string()
          .min(1)
          .max(100)
          .default('secureTransport Mailsystem')
          .meta({ description: 'Display name in the From field of notices.', reload: 'live' }),
        address: z
          .string()
          .refine((text) => mailboxFrom(text) !== null, { error: 'a mail address such as post@example.net' })
          .nullable()
          .default(null)
          .meta({
            description:
              'Address in the From field of notices; null is postmaster@ and the name of this host.',
            reload: 'live',
          }),
      })
      .prefault({})
      .meta({ description: 'Who notices come from.' }),
    languages: z
      .array(z.string().regex(/^[a-z]{2}(?:-[A-Z]{2})?$/, { error: 'a language such as de, en or de-CH' }))
      .min(1, { error: 'at least one language' })
      .max(4, { error: 'at most four languages' })
      .refine((languages) => new Set(languages).size === languages.length, { error: 'each language once' })
      .default(['de', 'en'])
      .meta({
        description: 'Languages of a notice in their order; the first one also makes the subject.',
        reload: 'restart',
      }),
    templates: z.string().nullable().default(null).meta({
      description: 'Directory with texts and templates, one folder per language; null is the one shipped.',
      reload: 'restart',
    }),
    timeZone: z
      .string()
      .refine(isTimeZone, { error: 'a time zone such as Europe/Berlin' })
      .default('Europe/Berlin')
      .meta({ description: 'Time zone in which notices tell a time.', reload: 'restart' }),
    requireTls: z.boolean().default(false).meta({
      description:
        'Notices travel over TLS only. Otherwise they go in the clear where the server of the sender offers no TLS.',
      reload: 'live',
    }),
    subjectInNotices: z.boolean().default(true).meta({
      description: 'Notices name the subject of the message they are about and return its header.',
      reload: 'live',
    }),
    lifetime: duration(
      '120h',
      { min: '1h', max: '30d' },
      { description: 'How long delivery of a notice is tried.', reload: 'live' },
    ),
  })
  .prefault({})
  .meta({ description: 'Notices to senders about their messages.' })

export type NotificationSettings = z.output<typeof notificationSettings>
