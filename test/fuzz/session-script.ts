// Random sessions as data: what a client sends in each phase, from whole commands, broken ones and raw octets.
// The same seed gives the same session.

/** One step; `login` and `tls` are done by a client that behaves, all else is written as it stands. */
export type Step =
  | { readonly kind: 'tls' }
  | { readonly kind: 'login' }
  | { readonly kind: 'octets'; readonly pieces: readonly Buffer[] }
  /** A whole transaction whose 354 is awaited; then `pieces`, which end in CRLF.CRLF for the first time. */
  | { readonly kind: 'message'; readonly pieces: readonly Buffer[] }

const COMMANDS = [
  'EHLO pc',
  'HELO pc',
  'EHLO',
  'EHLO \xff',
  'LHLO pc',
  'NOOP',
  'RSET',
  'QUIT',
  'VRFY a',
  'HELP',
  'BDAT 10 LAST',
  'XCLIENT ADDR=1.2.3.4',
  'XFORWARD NAME=x',
  'WIZ',
  'STARTTLS',
  'STARTTLS now',
  'AUTH PLAIN',
  'AUTH LOGIN',
  'AUTH PLAIN AG1heAByaWdodA==',
  'AUTH PLAIN AG1heAB3cm9uZw==',
  'AUTH LOGIN bWF4',
  '*',
  'cmlnaHQ=',
  'MAIL FROM:<max@office.example>',
  'MAIL FROM:<max@office.example> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2B',
  'MAIL FROM:<m\xc3\xbcller@office.example> SMTPUTF8',
  'MAIL FROM:<>',
  'MAIL FROM:<@a.example,@b.example:max@office.example>',
  'MAIL FROM:<"a > b"@office.example>',
  'RCPT TO:<anna@recipient.example>',
  'RCPT TO:<anna@recipient.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b',
  'RCPT TO:<anna@[127.0.0.1]>',
  'RCPT TO:<a%b@recipient.example>',
  'DATA',
  'DATA now',
  'GET / HTTP/1.1',
]
const NOISE = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  '.',
  '<',
  '>',
  ':',
  '"',
  '\\',
  '=',
  '\x1b[2J',
  '\xff',
  '\xc3\xbc',
  '\xe2\x80\xae',
  'x'.repeat(300),
  '@',
  ';',
]
/** Never CRLF.CRLF by itself; what two of them make together is looked for afterwards. */
const CONTENT = [
  'From: a@b.example\r\n',
  '\r\n',
  'x',
  '..',
  '.',
  '\r',
  '\n',
  '\0',
  '\n.\n',
  '\r.\r',
  '\n.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '\r\n..\r\n',
  '\r\n. \r\n',
  '\r\n.\0\r\n',
  '\r\n.\r\r\n',
  'MAIL FROM:<max@office.example>\r\n',
  '\xff\xfe',
  'y'.repeat(997),
  'z'.repeat(10_001),
]

export function makeSession(random: () => number): Step[] {
  const below = (limit: number): number => Math.floor(random() * limit)
  const pick = <T>(list: readonly T[], otherwise: T): T => list[below(list.length)] ?? otherwise
  const cut = (text: string): Buffer[] => {
    const octets = Buffer.from(text, 'latin1')
    const pieces: Buffer[] = []
    const size = pick([1, 2, 7, 100, 100_000], 1)
    const eachMax = Math.max(size, Math.ceil(octets.length / 40))
    for (let at = 0; at < octets.length; ) {
      const end = at + 1 + below(eachMax)
      pieces.push(octets.subarray(at, end))
      at = end
    }
    return pieces
  }
  const line = (): string => {
    let text = pick(COMMANDS, '')
    if (random() < 0.4) {
      const at = below(text.length + 1)
      text = text.slice(0, at) + pick(NOISE, '') + text.slice(at + below(3))
    }
    return text + pick(['\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', ''], '')
  }
  const some = (most: number, make: () => string): string =>
    Array.from({ length: below(most) }, make).join('')
  const chatter = (): Step => ({
    kind: 'octets',
    pieces: cut(random() < 0.1 ? some(200, () => String.fromCharCode(below(256))) : some(8, line)),
  })
  const message = (): Step => {
    const raw = `${some(30, () => pick(CONTENT, ''))}\r\n.\r\n`
    return { kind: 'message', pieces: cut(raw.slice(0, endOfData(raw))) }
  }
  const steps: Step[] = []
  if (random() < 0.5) steps.push(chatter())
  if (random() < 0.85) {
    steps.push({ kind: 'tls' })
    if (random() < 0.4) steps.push(chatter())
    if (random() < 0.85) {
      steps.push({ kind: 'login' })
      for (let count = below(4); count > 0; count--) steps.push(random() < 0.6 ? message() : chatter())
    }
  }
  return steps
}

/** Where the octets after DATA end, final dot included, by the letter of RFC 5321 §4.1.1.4. */
export const endOfData = (raw: string): number => `\r\n${raw}`.indexOf('\r\n.\r\n') + 3

/** Why a message must be refused, judged apart from the gateway's own reader; `null` when it may pass. */
export function contentProblem(content: string, lineOctetsMax: number): string | null {
  if (content.includes('\0')) return 'NUL'
  const lines = content.split('\r\n')
  if (lines.some((text) => /[\r\n]/.test(text))) return 'bare CR or LF'
  return lines.some((text) => text.length > lineOctetsMax) ? 'long line' : null
}
