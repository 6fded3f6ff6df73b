// Settings of submission: where it listens, with which certificates, and the limits of a session.
import { z } from 'zod'
import { count, duration, size } from '../runtime/settings.ts'

export const listenerSettings = z
  .strictObject({
    address: z.string().default('::').meta({
      description: 'Address to listen on; `::` is every address, IPv4 included.',
      reload: 'restart',
    }),
    port: z
      .int({ error: 'a port number from 0 to 65535' })
      .min(0, { error: 'a port number from 0 to 65535' })
      .max(65535, { error: 'a port number from 0 to 65535' })
      .meta({
        description: 'TCP port: 587 and 25 with starttls, 465 with implicit. 0 lets the system choose.',
        reload: 'restart',
      }),
    encryption: z.enum(['starttls', 'implicit'], { error: 'starttls or implicit' }).default('starttls').meta({
      description:
        '`starttls`: TLS begins with the STARTTLS command; `implicit`: with the first octet (RFC 8314).',
      reload: 'restart',
    }),
  })
  .meta({ description: 'One listening socket.' })

export const certificateSettings = z
  .strictObject({
    chain: z.string().meta({
      description:
        'PEM file with the certificate and its intermediates. Replaced on disk it is picked up within a minute.',
      reload: 'live',
    }),
    key: z
      .string()
      .meta({ description: 'PEM file with the private key of the certificate.', reload: 'live' }),
  })
  .meta({ description: 'One certificate; RSA and ECDSA ones can stand side by side.' })

/** Local-parts that nobody reads (S6), as patterns: `*` stands for anything. */
const NO_REPLY_PATTERNS = [
  'noreply*',
  'no-reply*',
  'no_reply*',
  'no.reply*',
  '*-noreply',
  '*.noreply',
  '*_noreply',
  '*-no-reply',
  '*.no-reply',
  'donotreply*',
  'do-not-reply*',
  'do_not_reply*',
  'do.not.reply*',
  'dontreply*',
  'dont-reply*',
  'nicht-antworten*',
  'nichtantworten*',
  'nicht_antworten*',
  'bitte-nicht-antworten*',
  'bittenichtantworten*',
  'keine-antwort*',
  'keineantwort*',
  'antwort-nicht*',
  'unbeantwortet*',
  'nepasrepondre*',
  'ne-pas-repondre*',
  'mailer-daemon',
]

/** Domains that exist only inside a network (S6): the name itself and everything below. */
const INTERNAL_DOMAINS = [
  'localhost',
  'localdomain',
  'local',
  'lan',
  'intern',
  'internal',
  'intranet',
  'home',
  'corp',
  'private',
  'domain',
  'workgroup',
  'fritz.box',
  'home.arpa',
  'invalid',
  'onion',
]

export const submissionSettings = z
  .strictObject({
    messageSizeMax: size(
      '50MB',
      { min: '64KB', max: '1GB' },
      {
        description: 'Largest message; announced as SIZE. More is refused, and reading stops.',
        reload: 'live',
      },
    ),
    recipientsMax: count(
      200,
      { min: 1, max: 10_000 },
      { description: 'Recipients of one message; RFC 5321 asks for at least 100.', reload: 'live' },
    ),
    lineOctetsMax: count(
      10_000,
      { min: 998, max: 1_000_000 },
      {
        description:
          'Longest line of a message, without CRLF. RFC 5322 says 998; programs that write longer ones are common, and receivers take them.',
        reload: 'live',
      },
    ),
    sessionsMax: count(
      10_000,
      { min: 1, max: 100_000 },
      { description: 'Client connections at once.', reload: 'live' },
    ),
    sessionsPerClientMax: count(
      50,
      { min: 1, max: 100_000 },
      { description: 'Client connections at once from one address (IPv6: one /64).', reload: 'live' },
    ),
    commandTimeout: duration(
      '5min',
      { min: '1s', max: '1h' },
      {
        description: 'How long a client may take for one complete command (RFC 5321: at least 5 minutes).',
        reload: 'live',
      },
    ),
    dataTimeout: duration(
      '30min',
      { min: '1s', max: '6h' },
      { description: 'How long a client may take for one message after DATA.', reload: 'live' },
    ),
    dataIdleTimeout: duration(
      '3min',
      { min: '1s', max: '1h' },
      { description: 'How long a client may pause within a message (RFC 5321: 3 minutes).', reload: 'live' },
    ),
    sessionTimeMax: duration(
      '2h',
      { min: '1min', max: '24h' },
      { description: 'Longest session; it ends between two transactions.', reload: 'live' },
    ),
    loginFailuresMax: count(
      3,
      { min: 1, max: 20 },
      { description: 'Failed logins on one connection before it is closed.', reload: 'live' },
    ),
    errorsMax: count(
      20,
      { min: 3, max: 1000 },
      { description: 'Refused commands on one connection before it is closed.', reload: 'live' },
    ),
    noReplyPatterns: z.array(z.string().min(1)).default(NO_REPLY_PATTERNS).meta({
      description:
        'Local-parts of senders that nobody reads; `*` stands for anything. Such senders are refused.',
      reload: 'live',
    }),
    internalDomains: z.array(z.string().min(1)).default(INTERNAL_DOMAINS).meta({
      description:
        'Sender domains that exist only inside a network, with everything below them. Such senders are refused, as are single-label names.',
      reload: 'live',
    }),
  })
  .prefault({})
  .meta({ description: 'Limits and rules of the submission dialogue.' })

export type ListenerSettings = z.output<typeof listenerSettings>
export type CertificateSettings = z.output<typeof certificateSettings>
export type SubmissionSettings = z.output<typeof submissionSettings>
