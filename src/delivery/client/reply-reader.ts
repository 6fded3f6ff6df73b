// Octets of a next hop become replies. Bounded in line length, lines per reply and replies waiting; what the
// peer says is cleaned of control characters before anybody sees it. Pure: no socket, no time.
//
// A line ends in LF; a CR before it belongs to the line end (RFC 5321 §4.2 says CRLF, some servers forget
// the CR). Anything that is not a reply line is a fault, and after a fault nothing more is read. RFC 5321 §4.2.
import { decodeReply, type Reply, sanitiseText } from '../../smtp/reply.ts'

/** Why the dialogue cannot go on. */
export type ReplyFault = 'line-too-long' | 'too-many-lines' | 'malformed' | 'unsolicited'

/** RFC 5321 §4.5.3.1.5 says 512; real servers exceed it. */
const LINE_OCTETS_MAX = 8192
/** What is kept of one line. */
const TEXT_OCTETS_MAX = 2048
const LINES_MAX = 100
/** More than any batch of ours can be owed (MAIL, 100 RCPT, DATA). */
const REPLIES_WAITING_MAX = 128

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const HYPHEN = 0x2d

const isDigit = (octet: number | undefined): boolean => octet !== undefined && octet >= 0x30 && octet <= 0x39

export class ReplyReader {
  #rest: Buffer | null = null
  #code = 0
  #texts: string[] = []
  #ready: Reply[] = []
  #fault: ReplyFault | null = null

  /** Set once, for good. Replies that were complete before it can still be taken. */
  get fault(): ReplyFault | null {
    return this.#fault
  }

  /** Nothing is buffered: no reply waits and no line has begun. Asked before STARTTLS and before re-use. */
  get isEmpty(): boolean {
    return this.#ready.length === 0 && this.#texts.length === 0 && this.#rest === null && this.#fault === null
  }

  /** The next complete reply, or `null`. */
  next(): Reply | null {
    return this.#ready.shift() ?? null
  }

  push(chunk: Buffer): void {
    if (this.#fault !== null) return
    let data = chunk
    if (this.#rest !== null) {
      data = Buffer.concat([this.#rest, chunk])
      this.#rest = null
    }
    let start = 0
    for (let end = data.indexOf(LF, start); end >= 0; end = data.indexOf(LF, start)) {
      this.#line(data, start, end > start && data[end - 1] === CR ? end - 1 : end)
      if (this.#fault !== null) return
      start = end + 1
    }
    if (data.length - start > LINE_OCTETS_MAX) this.#fault = 'line-too-long'
    // A copy, so that a few octets do not hold the whole read buffer.
    else if (start < data.length) this.#rest = Buffer.from(data.subarray(start))
  }

  #line(data: Buffer, start: number, end: number): void {
    const length = end - start
    if (length > LINE_OCTETS_MAX) {
      this.#fault = 'line-too-long'
      return
    }
    const code = codeAt(data, start, end)
    const separator = length === 3 ? SPACE : data[start + 3]
    if (code === null || (separator !== SPACE && separator !== HYPHEN)) {
      this.#fault = 'malformed'
      return
    }
    // RFC 5321 §4.2.1: the same code on every line of a reply.
    if (this.#texts.length > 0 && code !== this.#code) {
      this.#fault = 'malformed'
      return
    }
    this.#code = code
    const textEnd = Math.min(end, start + 4 + TEXT_OCTETS_MAX)
    this.#texts.push(length <= 4 ? '' : sanitiseText(data.toString('utf8', start + 4, textEnd)))
    if (separator === HYPHEN) {
      if (this.#texts.length >= LINES_MAX) this.#fault = 'too-many-lines'
      return
    }
    if (this.#ready.length >= REPLIES_WAITING_MAX) {
      this.#fault = 'unsolicited'
      return
    }
    this.#ready.push(decodeReply(code, this.#texts))
    this.#texts = []
  }
}

function codeAt(data: Buffer, start: number, end: number): number | null {
  if (end - start < 3) return null
  const [first, second, third] = [data[start], data[start + 1], data[start + 2]]
  if (first === undefined || first < 0x32 || first > 0x35 || !isDigit(second) || !isDigit(third)) return null
  return (first - 0x30) * 100 + ((second ?? 0) - 0x30) * 10 + ((third ?? 0) - 0x30)
}
