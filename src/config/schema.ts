// The whole configuration: the rooms' settings put together, nothing more. Each room describes its own keys;
// here stand only the keys that belong to no room, and which keys may be given as a secret. Rules between
// keys are in `rules.ts`.
import { z } from 'zod'
import { accountSettings } from '../accounts/settings.ts'
import { deliverySettings, partnerSettings } from '../delivery/settings.ts'
import { dnsSettings } from '../dns/settings.ts'
import { type AnonymiseRules, messageSettings } from '../message/settings.ts'
import { notificationSettings } from '../notification/settings.ts'
import { httpSettings, logSettings } from '../observability/settings.ts'
import { encryptionSettings, queueSettings } from '../queue/settings.ts'
import { scannerSettings } from '../scanning/settings.ts'
import { type Domain, parseDomain } from '../smtp/domain.ts'
import { clusterSettings, storeSetting } from '../store/settings.ts'
import { certificateSettings, listenerSettings, submissionSettings } from '../submission/settings.ts'
import type { SchemaNode } from './reference.ts'

const hostname = z
  .string()
  .transform((text, context): Domain => {
    const domain = parseDomain(text)
    if (domain !== null) return domain
    context.addIssue({ code: 'custom', message: 'a host name such as mail.example.org' })
    return z.NEVER
  })
  .meta({
    description:
      'Name of this gateway in greetings, trace fields and notices. It must resolve to this machine, and back.',
    unit: 'host name',
    example: 'mail.example.org',
    reload: 'restart',
  })

const dataDirectory = z.string().min(1).default('./data').meta({
  description:
    'Directory for queue, accounts and event log. It must be on a local disk that keeps what it confirmed.',
  unit: 'path',
  reload: 'restart',
})

const listeners = z
  .array(listenerSettings)
  .min(1, { error: 'at least one listener' })
  .max(64, { error: 'at most 64 listeners' })
  .default([
    { address: '::', port: 587, encryption: 'starttls' },
    { address: '::', port: 25, encryption: 'starttls' },
    { address: '::', port: 465, encryption: 'implicit' },
  ])
  .meta({ description: 'Where clients connect.', reload: 'restart' })

const certificates = z
  .array(certificateSettings)
  .min(1, { error: 'at least one certificate with its key' })
  .max(16, { error: 'at most 16 certificates' })
  .meta({
    description: 'What clients see. RSA and ECDSA certificates can stand side by side.',
    example: [{ chain: 'tls/chain.pem', key: 'tls/key.pem' }],
    reload: 'live',
  })

const anonymise = z.string().min(1).nullable().default(null).meta({
  description: 'File with the list of header fields that are taken out of mail; null is the one shipped.',
  reload: 'restart',
})

export const configurationSchema = z.strictObject({
  hostname,
  dataDirectory,
  store: storeSetting,
  cluster: clusterSettings.prefault({}).meta({
    description:
      'How gateways that share a database know of each other. Without effect on the embedded store.',
  }),
  listeners,
  certificates,
  submission: submissionSettings,
  accounts: accountSettings,
  message: messageSettings
    .prefault({})
    .meta({ description: 'Limits of a message, and what its header may ask for.' }),
  anonymise,
  scanner: scannerSettings.prefault({}).meta({ description: 'The virus scanner.' }),
  dns: dnsSettings.prefault({}).meta({ description: 'DNS resolvers.' }),
  delivery: deliverySettings
    .prefault({})
    .meta({ description: 'How mail is handed over to the mail servers of the recipients.' }),
  queue: queueSettings.prefault({}).meta({ description: 'The queue on disk.' }),
  encryption: encryptionSettings
    .prefault({})
    .meta({ description: 'How the mail in the queue is encrypted on disk.' }),
  partners: partnerSettings,
  notifications: notificationSettings,
  http: httpSettings,
  log: logSettings,
})

/** What stands in the file: durations in ms, sizes in octets, paths as they were written. */
export type WrittenConfiguration = z.output<typeof configurationSchema>

/** What the relay is handed: paths absolute, and the list that `anonymise` points to. */
export type Configuration = WrittenConfiguration & { readonly anonymiseRules: AnonymiseRules }

/** Keys whose value may be `{ file: PATH }` or `{ env: NAME }`, and is shown nowhere. */
export const SECRET_KEYS: readonly string[] = ['store', 'encryption.masterKeys[].key']

/** Keys that name files or directories: relative to the configuration file (`files.ts` resolves them). */
export const PATH_KEYS: readonly string[] = [
  'dataDirectory',
  'certificates[].chain',
  'certificates[].key',
  'anonymise',
  'delivery.trustedCertificates[]',
  'notifications.templates',
]

/** The JSON Schema of what an operator writes. A new object each time. */
export function configurationNode(): SchemaNode {
  return z.toJSONSchema(configurationSchema, {
    io: 'input',
    override: ({ jsonSchema, path }) => {
      const key = keyOf(path)
      if (PATH_KEYS.includes(key)) Object.assign(jsonSchema, { unit: 'path' })
      if (!SECRET_KEYS.includes(key)) return
      delete jsonSchema.type
      const anyOf = [{ type: 'string' }, secretReference('file'), secretReference('env')]
      Object.assign(jsonSchema, { unit: 'secret', anyOf })
    },
  }) as SchemaNode // the one cast: zod types the document as the whole of JSON Schema
}

/** `listeners[].port` from the steps through a JSON Schema. */
const keyOf = (path: readonly (string | number)[]): string =>
  path
    .filter((step, index) => step !== 'properties' || path[index - 1] === 'properties')
    .join('.')
    .replaceAll('.items', '[]')

const secretReference = (source: 'file' | 'env') => ({
  type: 'object',
  properties: { [source]: { type: 'string' } },
  required: [source],
  additionalProperties: false,
})
