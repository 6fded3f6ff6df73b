// The mails of the crash soak. Everything about a mail follows from the seed and its number, so that the
// recipient can judge what arrives without having seen what was sent.
import { createHash } from 'node:crypto'
import { createSeededRandom } from './seeded-random.ts'

export const SENDER_DOMAIN = 'sender.test'
export const RECIPIENT_DOMAINS = ['one.test', 'two.test', 'three.test'] as const

export interface SoakMail {
  readonly number: number
  readonly reversePath: string
  readonly forwardPaths: readonly string[]
  /** Header, empty line and body in wire form: lines end in CRLF, leading dots are doubled. Without the final dot. */
  readonly wire: Buffer
  /** SHA-256 of the body, hexadecimal; dots are not doubled in what is hashed. */
  readonly bodyHash: string
}

const KB = 1024
/** Up to 256 KB a body lies in the database, beyond it in a file: both are common. */
const SIZES = [
  { share: 0.6, from: 1 * KB, to: 20 * KB },
  { share: 0.2, from: 20 * KB, to: 200 * KB },
  { share: 0.2, from: 250 * KB, to: 600 * KB },
] as const
const RECIPIENTS_MAX = 4

export function soakMail(seed: number, number: number): SoakMail {
  const random = createSeededRandom(seed * 1_000_003 + number)
  const count = random() < 0.6 ? 1 : 1 + Math.ceil(random() * (RECIPIENTS_MAX - 1))
  const forwardPaths = Array.from({ length: count }, (_, index) => {
    const domain = RECIPIENT_DOMAINS[Math.floor(random() * RECIPIENT_DOMAINS.length)]
    return `m${number}.${index}@${domain}`
  })
  const lines = bodyLines(number, sizeOf(random))
  const header = [
    `From: Sender <sender@${SENDER_DOMAIN}>`,
    `To: ${forwardPaths.join(', ')}`,
    `Subject: soak ${number}`,
    'Date: Mon, 23 Nov 2026 08:00:00 +0100',
    `Message-ID: <${number}.soak@${SENDER_DOMAIN}>`,
  ]
  const stuffed = lines.map((line) => (line.startsWith('.') ? `.${line}` : line))
  return {
    number,
    reversePath: `sender@${SENDER_DOMAIN}`,
    forwardPaths,
    wire: Buffer.from([...header, '', ...stuffed, ''].join('\r\n')),
    bodyHash: hashBody(Buffer.from([...lines, ''].join('\r\n'))),
  }
}

export const hashBody = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

/** The number of an arrived mail, `null` for one that the soak did not send. */
export function numberOf(header: string): number | null {
  const found = /^Subject: soak ([0-9]+)\r?$/m.exec(header)
  return found === null ? null : Number(found[1])
}

function sizeOf(random: () => number): number {
  let left = random()
  for (const { share, from, to } of SIZES) {
    if (left < share) return Math.round(from + random() * (to - from))
    left -= share
  }
  return KB
}

/** Every line differs, so that a body put together in another order is another body. Some begin with a dot. */
function bodyLines(number: number, octets: number): string[] {
  const lines: string[] = []
  for (let size = 0; size < octets; ) {
    const dot = lines.length % 50 === 7 ? '.' : ''
    const line = `${dot}${number}.${lines.length} `.padEnd(74, 'the quick brown fox ')
    lines.push(line)
    size += line.length + 2
  }
  return lines
}
