// Two readers of composed notices that share nothing with the composer: a small MIME splitter, and Python's
// email package where Python is installed.
import { spawnSync } from 'node:child_process'
import type { NewMessage } from '../../src/queue/message.ts'

/** A part as the splitter sees it; `content` is decoded from its transfer encoding. */
export interface MimePart {
  readonly fields: ReadonlyMap<string, string>
  readonly type: string
  readonly content: Buffer
  readonly parts: readonly MimePart[]
}

/** The message as a reader of the mail sees it: header and body joined, dots no longer doubled. */
export function octetsOf(notice: NewMessage): Buffer {
  const wire = Buffer.concat([notice.meta.header, ...(notice.body.inMemory ?? [])])
  return Buffer.from(wire.toString('latin1').replace(/^\.\./gm, '.'), 'latin1')
}

export function splitMime(octets: Buffer): MimePart {
  const text = octets.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const fields = new Map<string, string>()
  for (const line of text
    .slice(0, end)
    .replace(/\r\n(?=[ \t])/g, '')
    .split('\r\n')) {
    const colon = line.indexOf(':')
    fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const contentType = fields.get('content-type') ?? ''
  const raw = text.slice(end + 4)
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  const pieces = boundary === undefined ? [] : `\r\n${raw}`.split(`\r\n--${boundary}`).slice(1)
  return {
    fields,
    type: contentType.split(';')[0] ?? '',
    content: decode(raw, fields.get('content-transfer-encoding') ?? '7bit'),
    parts: pieces
      .filter((piece) => !piece.startsWith('--'))
      .map((piece) => splitMime(Buffer.from(piece.replace(/^[ \t]*\r\n/, ''), 'latin1'))),
  }
}

function decode(raw: string, encoding: string): Buffer {
  if (encoding === 'base64') return Buffer.from(raw, 'base64')
  if (encoding !== 'quoted-printable') return Buffer.from(raw, 'latin1')
  const octets = raw
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(octets, 'latin1')
}

/** The parts of a notice as text. */
export function readNotice(notice: NewMessage): {
  readonly fields: ReadonlyMap<string, string>
  readonly text: string
  readonly html: string
  readonly statusType: string
  readonly status: string
  readonly headerType: string
  readonly header: string
} {
  const message = splitMime(octetsOf(notice))
  const [people, status, header] = message.parts
  const asText = (part: MimePart | undefined): string => part?.content.toString('utf8') ?? ''
  const lines = (part: MimePart | undefined): string => asText(part).replace(/\r\n/g, '\n')
  return {
    fields: message.fields,
    text: lines(people?.parts[0]),
    html: lines(people?.parts[1]),
    statusType: status?.type ?? '',
    status: lines(status),
    headerType: header?.type ?? '',
    header: asText(header),
  }
}

/** What Python's email package reads; `null` where there is no Python. */
export interface PythonReading {
  readonly type: string
  readonly defects: readonly string[]
  readonly fields: readonly (readonly [string, string])[]
  readonly leaves: readonly { readonly type: string; readonly text: string }[]
  readonly status: readonly (readonly (readonly [string, string])[])[]
}

const SCRIPT = `
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
defects, leaves, status = [], [], []
for part in m.walk():
    defects += [repr(d) for d in part.defects]
    t = part.get_content_type()
    if t == 'message/delivery-status':
        status = [[(k, str(v)) for k, v in block.items()] for block in part.get_payload() if len(block)]
    elif not part.is_multipart() and t != 'text/plain' or t == 'text/plain' and part.get_param('charset'):
        leaves.append({'type': t, 'text': part.get_content() if t.startswith('text/') else ''})
fields = [(k, str(v)) for k, v in m.items()]
defects += [repr(d) for k, v in m.items() for d in getattr(v, 'defects', [])]
json.dump({'type': m.get_content_type(), 'defects': defects, 'fields': fields, 'leaves': leaves, 'status': status}, sys.stdout)
`

export function readWithPython(notice: NewMessage): PythonReading | null {
  const run = spawnSync('python3', ['-c', SCRIPT], { input: octetsOf(notice), timeout: 30_000 })
  if (run.error) return null
  if (run.status !== 0) throw new Error(run.stderr.toString())
  return JSON.parse(run.stdout.toString())
}
