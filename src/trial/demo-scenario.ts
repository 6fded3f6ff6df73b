// What the demo shows: the mails, the recipients they go to, and how a result is told.
import type { ClientMail } from './client.ts'
import type { RecipientOptions } from './recipient.ts'

export const DEMO_SENDER_DOMAIN = 'office.example'
export const DEMO_SENDER = `max@${DEMO_SENDER_DOMAIN}`

/** One recipient domain with the behaviour of its mail server. */
export interface DemoRecipient {
  readonly domain: string
  readonly says: string
  readonly options: Pick<RecipientOptions, 'refusal'> & { readonly offersTls: boolean }
}

export const DEMO_RECIPIENTS: readonly DemoRecipient[] = [
  {
    domain: DEMO_SENDER_DOMAIN,
    says: 'the mail server of the sender, where notices arrive',
    options: { offersTls: true },
  },
  { domain: 'modern.example', says: 'offers TLS 1.3', options: { offersTls: true } },
  { domain: 'old.example', says: 'offers no encryption', options: { offersTls: false } },
  {
    domain: 'strict.example',
    says: 'offers TLS, knows no such recipient',
    options: { offersTls: true, refusal: { code: 550, text: 'No such user here' } },
  },
]

const mail = (to: string, subject: string): ClientMail => ({
  from: `Max Müller <${DEMO_SENDER}>`,
  to,
  subject,
  text: 'Guten Tag,\n\nanbei die besprochenen Unterlagen.\n\nMax Müller\n',
})

/** Every mail of the demo, and what a careful reader expects of it. */
export const DEMO_MAILS: readonly { readonly mail: ClientMail; readonly expected: 'delivered' | 'failed' }[] =
  [
    { mail: mail('anna@modern.example', 'Vertrag für Anna'), expected: 'delivered' },
    { mail: mail('bernd@old.example', 'Vertrag für Bernd'), expected: 'failed' },
    { mail: mail('bernd@old.example', '[Klartext] Öffnungszeiten für Bernd'), expected: 'delivered' },
    { mail: mail('carla@strict.example', 'Vertrag für Carla'), expected: 'failed' },
  ]

/** The configuration of the demo's gateway; every next hop is on loopback. */
export function demoConfig(routes: readonly { domain: string; port: number }[]): string {
  const partners = routes.map(({ domain, port }) => `  - { domain: ${domain}, hosts: ["127.0.0.1:${port}"] }`)
  return `hostname: localhost
dataDirectory: data
listeners:
  - { address: 127.0.0.1, port: 0, encryption: starttls }
certificates:
  - { chain: certificate.pem, key: key.pem }
scanner: { kind: none }
http: { enabled: false }
delivery:
  allowedNetworks: [127.0.0.0/8]
  # A missing encrypted path is told at once here; in production a hiccup is waited out for 15 minutes.
  tlsRetryWindow: 0s
notifications:
  from: { address: postmaster@${DEMO_SENDER_DOMAIN} }
partners:
${partners.join('\n')}
`
}
