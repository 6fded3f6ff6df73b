// Settings of delivery: what the path must fulfil, how long and how often is tried, how many at once.
import { isIP } from 'node:net'
import { z } from 'zod'
import { count, duration } from '../runtime/settings.ts'
import { parseDomain } from '../smtp/domain.ts'
import { parseFixedHost } from '../smtp/fixed-host.ts'
import { SECURITY_LEVELS } from '../smtp/security-level.ts'

/** True for `address/prefix length` or a single address, IPv4 or IPv6. */
export function isNetwork(text: string): boolean {
  const match = /^([0-9a-fA-F:.]+)(?:\/([0-9]{1,3}))?$/.exec(text)
  const family = isIP(match?.[1] ?? '')
  return family !== 0 && Number(match?.[2] ?? 0) <= (family === 4 ? 32 : 128)
}

const timeouts = z
  .strictObject({
    connect: duration(
      '30s',
      { min: '1s', max: '10min' },
      {
        description: 'For the TCP connection to one address.',
      },
    ),
    greeting: duration(
      '5min',
      { min: '1s', max: '30min' },
      {
        description: 'For the greeting. RFC 5321 asks for 5 minutes.',
      },
    ),
    handshake: duration('30s', { min: '1s', max: '10min' }, { description: 'For the TLS handshake.' }),
    command: duration(
      '5min',
      { min: '1s', max: '30min' },
      {
        description: 'For the replies to EHLO, STARTTLS, MAIL, RCPT and DATA. RFC 5321 asks for 5 minutes.',
      },
    ),
    data: duration(
      '3min',
      { min: '1s', max: '60min' },
      {
        description: 'For sending the message, on top of one second for each 8 KB.',
      },
    ),
    finalDot: duration(
      '10min',
      { min: '1s', max: '60min' },
      {
        description:
          'For the reply after the message. Giving up early makes duplicates; RFC 5321: 10 minutes.',
      },
    ),
  })
  .prefault({})
  .meta({ description: 'How long a next hop may take for each phase, in all.', reload: 'restart' })

export const deliverySettings = z.strictObject({
  port: count(
    25,
    { min: 1, max: 65_535 },
    {
      description: 'TCP port of MX hosts. Change it for trials only.',
      reload: 'restart',
    },
  ),
  security: z.enum(SECURITY_LEVELS).default('encrypt').meta({
    description:
      'What every path must fulfil: may, encrypt (TLS 1.2 or newer with forward secrecy), verify (and a valid certificate), secure, qualified. Without a cleartext permit, may does not send in the clear either.',
    reload: 'restart',
  }),
  allowedNetworks: z
    .array(z.string().refine(isNetwork, { error: 'an address or a network such as 10.1.0.0/16 or fd00::/8' }))
    .default([])
    .meta({
      description:
        'Networks to deliver to although they are private, loopback or otherwise special; without it such addresses are refused.',
      reload: 'restart',
    }),
  trustedCertificates: z.array(z.string().min(1)).default([]).meta({
    description: 'Files with PEM certificates of authorities to trust besides the usual ones.',
    reload: 'restart',
  }),
  lifetime: duration(
    '120h',
    { min: '1min', max: '30d' },
    {
      description: 'How long delivery is tried before the sender is told that it failed.',
      reload: 'live',
    },
  ),
  delayNoticeAfter: duration(
    '1h',
    { min: '1s', max: '5d' },
    {
      description: 'When the sender is told that a mail is still on its way.',
      reload: 'live',
    },
  ),
  tlsRetryWindow: duration(
    '15min',
    { min: '0s', max: '5d' },
    {
      description: 'How long a missing encrypted path is taken for a hiccup before the sender is told.',
      reload: 'live',
    },
  ),
  retry: z
    .strictObject({
      first: duration(
        '2min',
        { min: '1s', max: '12h' },
        {
          description: 'Pause before the first repeated attempt.',
        },
      ),
      max: duration('2h', { min: '1s', max: '24h' }, { description: 'Longest pause between attempts.' }),
    })
    .prefault({})
    .meta({ description: 'Pauses between attempts; they grow and vary by 20 %.', reload: 'live' }),
  destinationRetry: z
    .strictObject({
      first: duration(
        '30s',
        { min: '1s', max: '1h' },
        {
          description: 'Pause before the first probe of a destination that cannot be reached.',
        },
      ),
      max: duration('10min', { min: '1s', max: '24h' }, { description: 'Longest pause between probes.' }),
    })
    .prefault({})
    .meta({ description: 'Pauses for a whole destination whose hosts fail.', reload: 'restart' }),
  sessionsMax: count(
    200,
    { min: 1, max: 10_000 },
    {
      description: 'Connections to next hops at once.',
      reload: 'restart',
    },
  ),
  sessionsPerDestinationMax: count(
    10,
    { min: 1, max: 1000 },
    {
      description: 'Connections to one recipient domain at once; fewer after trouble.',
      reload: 'restart',
    },
  ),
  connectionIdle: duration(
    '10s',
    { min: '0s', max: '5min' },
    {
      description: 'How long an open connection waits for the next mail to the same domain.',
      reload: 'restart',
    },
  ),
  messagesPerConnection: count(
    100,
    { min: 1, max: 10_000 },
    {
      description: 'Mails on one connection before it is closed.',
      reload: 'restart',
    },
  ),
  waitingInMemoryMax: count(
    5000,
    { min: 10, max: 100_000 },
    {
      description: 'Deliveries that wait in memory for their turn; more wait in the store.',
      reload: 'restart',
    },
  ),
  timeouts,
})

export type DeliverySettings = z.output<typeof deliverySettings>

const domain = z.string().transform((text, context) => {
  const parsed = parseDomain(text)
  if (parsed !== null) return parsed
  context.issues.push({ code: 'custom', message: 'a domain such as partner.example', input: text })
  return z.NEVER
})

const fixedHost = z.string().transform((text, context) => {
  const parsed = parseFixedHost(text)
  if (parsed !== null) return parsed
  context.issues.push({
    code: 'custom',
    message: 'a host such as mx.partner.example, 192.0.2.1:25 or [2001:db8::1]:25',
    input: text,
  })
  return z.NEVER
})

const partner = z.strictObject({
  domain: domain.meta({ description: 'Recipient domain of the agreement.' }),
  hosts: z
    .array(fixedHost)
    .default([])
    .meta({ description: 'Hosts to deliver to instead of those in DNS, in order; port 25 unless given.' }),
  level: z
    .enum(SECURITY_LEVELS)
    .optional()
    .meta({ description: 'Replaces delivery.security for this domain.' }),
})

export const partnerSettings = z.array(partner).default([]).meta({
  description: 'Agreements about single recipient domains.',
  reload: 'restart',
})

export type PartnerSettings = z.output<typeof partnerSettings>
export type Partner = PartnerSettings[number]
