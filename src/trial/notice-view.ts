// Shows a notice as a person would read it in the terminal: its subject and its text part. For the demo only;
// no general MIME parser (mail programs do that).

export interface NoticeView {
  readonly subject: string
  readonly text: string
}

interface Part {
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
}

const DEPTH_MAX = 5

function parsePart(source: string): Part {
  const end = source.indexOf('\r\n\r\n')
  const head = (end < 0 ? source : source.slice(0, end)).replace(/\r\n[ \t]+/g, ' ')
  const fields = new Map<string, string>()
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return { fields, body: end < 0 ? '' : source.slice(end + 4) }
}

function decodeQuotedPrintable(text: string): Buffer {
  const joined = text.replace(/=\r?\n/g, '')
  return Buffer.from(
    joined.replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

function bodyText({ fields, body }: Part): string {
  const encoding = (fields.get('content-transfer-encoding') ?? '').toLowerCase()
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8')
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(body).toString('utf8')
  return body
}

function findText(part: Part, depth: number): string | null {
  const type = part.fields.get('content-type') ?? 'text/plain'
  if (/^text\/plain/i.test(type)) return bodyText(part)
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1]
  if (boundary === undefined || depth >= DEPTH_MAX) return null
  for (const piece of part.body.split(`--${boundary}`).slice(1)) {
    const found = findText(parsePart(piece.replace(/^\r\n/, '')), depth + 1)
    if (found !== null) return found
  }
  return null
}

const decodeWords = (text: string): string =>
  text
    .replace(/(\?=)\s+(=\?)/g, '$1$2')
    .replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, kind: string, data: string) =>
      (kind.toLowerCase() === 'b'
        ? Buffer.from(data, 'base64')
        : decodeQuotedPrintable(data.replaceAll('_', ' '))
      ).toString('utf8'),
    )

/** Subject and first text part of a mail as received. */
export function viewNotice(source: string): NoticeView {
  const mail = parsePart(source.replace(/\r?\n/g, '\r\n'))
  return {
    subject: decodeWords(mail.fields.get('subject') ?? ''),
    text: (findText(mail, 0) ?? '').replaceAll('\r\n', '\n').trim(),
  }
}
