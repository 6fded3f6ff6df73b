// Settings of the scanning room: which scanner is asked, where it listens, how long it may take (M1).
import { z } from 'zod'
import { count, duration } from '../runtime/settings.ts'

/** Where a clamd listens; `text` is the operator's spelling, for the log. */
export type ScannerAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly text: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string }

/** `unix:/path`, `host:port` or `[v6]:port`; `null` for anything else. */
export function parseScannerAddress(text: string): ScannerAddress | null {
  const unix = /^unix:(\/.{1,106})$/.exec(text)
  if (unix?.[1] !== undefined) return { kind: 'unix', path: unix[1], text }
  const tcp = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(text)
  const host = tcp?.[1] ?? tcp?.[2]
  const port = Number(tcp?.[3])
  if (host === undefined || !(port >= 1 && port <= 65_535)) return null
  return { kind: 'tcp', host, port, text }
}

const ADDRESS_ERROR = 'an address such as unix:/run/clamav/clamd.ctl or 127.0.0.1:3310'

const scannerAddress = z.string({ error: ADDRESS_ERROR }).transform((text, context): ScannerAddress => {
  const address = parseScannerAddress(text)
  if (address) return address
  context.addIssue({ code: 'custom', message: ADDRESS_ERROR })
  return z.NEVER
})

export const scannerSettings = z.strictObject({
  kind: z.enum(['clamd', 'none'], { error: 'one of clamd, none' }).default('clamd').meta({
    description: 'Who scans: ClamAV, or nobody. With none every message passes unscanned: for tests only.',
    reload: 'restart',
  }),
  address: z
    .union([scannerAddress, z.array(scannerAddress).min(1).max(8)], {
      error: `${ADDRESS_ERROR}, or a list of them`,
    })
    .prefault('unix:/run/clamav/clamd.ctl')
    .transform((value) => (Array.isArray(value) ? value : [value]))
    .meta({
      description:
        'Where clamd listens: unix:/path or host:port. A list is tried in order until one takes the connection. ' +
        'The connection is not encrypted: keep it on this machine or on a trusted network.',
      default: 'unix:/run/clamav/clamd.ctl',
      reload: 'restart',
    }),
  connectTimeout: duration(
    '5s',
    { min: '100ms', max: '60s' },
    { description: 'How long each clamd may take to accept a connection.', reload: 'restart' },
  ),
  verdictTimeout: duration(
    '2min',
    { min: '100ms', max: '8min' },
    {
      description:
        'How long after the last octet the verdict may take, waiting for a free scanner included; also how long ' +
        "clamd may refuse to read. Longer than clamd's own MaxScanTime. Afterwards the sender gets 451.",
      reload: 'restart',
    },
  ),
  concurrency: count(
    4,
    { min: 1, max: 256 },
    {
      description:
        'How many messages are scanned at once. About twice the processor cores that clamd may use.',
      reload: 'restart',
    },
  ),
})

export type ScannerSettings = z.output<typeof scannerSettings>
