// Settings of the store: where the data are kept, and how several gateways on one database keep out of each
// other's way. The address is a URL, because that is what operators and secret stores already have.
import { z } from 'zod'
import { duration } from '../runtime/settings.ts'

/** One PostgreSQL server of several; `host` begins with `/` for the folder of a Unix socket. */
export interface DatabaseHost {
  readonly host: string
  readonly port: number
}

export type StoreAddress =
  | { readonly kind: 'sqlite' }
  | {
      readonly kind: 'postgres'
      /** At least one; whichever takes writes is used. */
      readonly hosts: readonly DatabaseHost[]
      readonly user: string
      /** Empty for none. Never logged. */
      readonly password: string
      readonly database: string
      /** `verify-full` is the rule, unless every host is this machine. */
      readonly tls: 'disable' | 'require' | 'verify-full'
      /** PEM file with the authority of the servers' certificates; `null`: those that Node trusts. */
      readonly authorityFile: string | null
    }

export type PostgresAddress = Extract<StoreAddress, { kind: 'postgres' }>

const PORT = 5432
const FORM = /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::([^@/?]*))?@)?([^/?@]*)(?:\/([^?]*))?(?:\?(.*))?$/

/**
 * `sqlite:` or `postgres://user:password@host1:5432,host2:5432/database?sslmode=verify-full&sslrootcert=FILE`;
 * `?host=/run/postgresql` for a Unix socket. `null` for anything else, unknown parameters included.
 */
export function parseStoreAddress(url: string): StoreAddress | null {
  if (url === 'sqlite:') return { kind: 'sqlite' }
  const match = FORM.exec(url)
  if (match === null) return null
  const [, user = '', password = '', authority = '', database = '', query = ''] = match
  const parameters = new URLSearchParams(query)
  const known = ['sslmode', 'sslrootcert', 'host', 'port']
  if ([...parameters.keys()].some((key) => !known.includes(key))) return null
  const socket = parameters.get('host')
  const hosts =
    socket === null ? authority.split(',').map(parseHost) : [hostOf(socket, parameters.get('port'))]
  const isLocal = hosts.every((one) => one !== null && /^(?:\/|127\.|localhost$|::1$)/.test(one.host))
  const tls = parameters.get('sslmode') ?? (isLocal ? 'disable' : 'verify-full')
  const texts = [user, password, database].map(decode)
  const [userText, passwordText, databaseText] = texts
  if (!isTlsMode(tls) || !userText || passwordText == null || !databaseText) return null
  return hosts.every((one) => one !== null)
    ? {
        kind: 'postgres',
        hosts,
        user: userText,
        password: passwordText,
        database: databaseText,
        tls,
        authorityFile: parameters.get('sslrootcert'),
      }
    : null
}

const isTlsMode = (text: string): text is PostgresAddress['tls'] =>
  ['disable', 'require', 'verify-full'].includes(text)

/** `host`, `host:port`, `[2001:db8::1]:port`. */
function parseHost(text: string): DatabaseHost | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?$/.exec(text)
  return match === null ? null : hostOf(match[1] ?? match[2] ?? '', match[3] ?? null)
}

function hostOf(host: string, portText: string | null): DatabaseHost | null {
  const port = portText === null ? PORT : Number(portText)
  return host !== '' && Number.isInteger(port) && port > 0 && port < 65_536 ? { host, port } : null
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null // a lone percent sign: not a URL
  }
}

export const storeSetting = z
  .string()
  .refine((url) => parseStoreAddress(url) !== null, {
    error: 'sqlite: (the embedded store), or postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE',
  })
  .default('sqlite:')
  .meta({
    description:
      'Where the data are kept. `sqlite:` is the embedded store of one gateway; `postgres://user:password@host1:5432,host2:5432/database` is shared by several. TLS with a verified certificate is the rule unless the host is this machine (`?sslmode=`, `&sslrootcert=`).',
    reload: 'restart',
  })

export const clusterSettings = z.strictObject({
  nodeName: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,63}$/, { error: 'a name of letters, digits, dots and dashes, or null' })
    .nullable()
    .default(null)
    .meta({
      description:
        'Name of this gateway among those that share a database; it must be its own. null is the hostname above.',
      reload: 'restart',
    }),
  heartbeat: duration(
    '5s',
    { min: '100ms', max: '1min' },
    { description: 'How often this gateway tells the others that it lives.', reload: 'restart' },
  ),
  fenceAfter: duration(
    '14s',
    { min: '300ms', max: '5min' },
    {
      description:
        'Without a heartbeat that got through for so long, this gateway hands over no more mail: others may soon do so.',
      reload: 'restart',
    },
  ),
  deadAfter: duration(
    '20s',
    { min: '500ms', max: '10min' },
    {
      description:
        'A gateway that was silent for so long is taken for dead, and its deliveries are taken over.',
      reload: 'restart',
    },
  ),
  requireSynchronousStandby: z.boolean().default(false).meta({
    description:
      'Take mail only while the database keeps a synchronous copy on a second server: what was acknowledged survives the loss of the first.',
    reload: 'restart',
  }),
})

export type ClusterSettings = z.output<typeof clusterSettings>
