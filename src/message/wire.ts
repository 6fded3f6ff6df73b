// The wire form of a message: lines end in CRLF, leading dots are doubled (RFC 5321 §4.5.2). It is kept from
// the client's socket to the next hop's, so that a body is checked once and copied otherwise.
// Only CRLF.CRLF ends a message; bare CR, bare LF and NUL make it invalid (SMTP smuggling, threats.md), but
// never end it early, whatever the segmentation.
import { isAscii } from 'node:buffer'

const CR = 0x0d
const LF = 0x0a
const DOT = 0x2e

/** Why a message cannot be taken, found while it streams in. */
export type WireProblem = 'line-ends' | 'line-too-long'

/** What one chunk of DATA yielded. */
export interface DataSlice {
  /** Octets of the message in wire form, without the final dot; a view of the chunk where possible. */
  readonly content: Buffer
  /** Octets after the end of the message, `null` while it goes on. */
  readonly rest: Buffer | null
}

const EMPTY = Buffer.alloc(0)

/** Reads the octets between 354 and the final dot: finds the end, checks line ends, length and 8-bit use. */
export class DataReader {
  readonly #lineOctetsMax: number
  /** Octets of the unfinished line that earlier chunks brought. */
  #lineOctets = 0
  #endedWithCr = false
  /** A `.` or `.` CR at the start of a line at the end of a chunk: the end, perhaps. */
  #held: Buffer = EMPTY
  #problem: WireProblem | null = null
  #eightBit = false

  /** `lineOctetsMax` counts the line without its CRLF. */
  constructor(lineOctetsMax: number) {
    this.#lineOctetsMax = lineOctetsMax
  }

  /** The first problem met, `null` so far. Stays once set; the end is still looked for. */
  get problem(): WireProblem | null {
    return this.#problem
  }

  /** True when an octet above 127 was met. */
  get eightBit(): boolean {
    return this.#eightBit
  }

  feed(incoming: Buffer): DataSlice {
    const chunk = this.#held.length === 0 ? incoming : Buffer.concat([this.#held, incoming])
    this.#held = EMPTY
    const end = this.#walkLines(chunk)
    if (end >= 0) return this.#slice(chunk.subarray(0, end), chunk.subarray(end + 3))
    const tail = this.#heldBack(chunk)
    if (tail === 0) return this.#slice(chunk, null)
    this.#held = Buffer.from(chunk.subarray(chunk.length - tail))
    this.#lineOctets = 0
    this.#endedWithCr = false
    return this.#slice(chunk.subarray(0, chunk.length - tail), null)
  }

  #slice(content: Buffer, rest: Buffer | null): DataSlice {
    if (!this.#eightBit && !isAscii(content)) this.#eightBit = true
    if (content.includes(0)) this.#fail('line-ends')
    return { content, rest }
  }

  #fail(problem: WireProblem): void {
    this.#problem ??= problem
  }

  /** Goes from LF to LF; returns where the final dot stands, or -1. Leaves the state of the unfinished line. */
  #walkLines(chunk: Buffer): number {
    let start = 0
    let before = this.#lineOctets
    let crBefore = this.#endedWithCr
    for (;;) {
      const lf = chunk.indexOf(LF, start)
      const segmentEnd = lf < 0 ? chunk.length : lf
      const cr = chunk.indexOf(CR, start)
      // A CR that is not directly before this LF (or before the unseen next octet) is bare.
      if (crBefore && segmentEnd > start) this.#fail('line-ends')
      if (cr >= 0 && cr < segmentEnd - 1) this.#fail('line-ends')
      if (lf < 0) {
        this.#lineOctets = before + (chunk.length - start)
        this.#endedWithCr = chunk.length > start ? chunk[chunk.length - 1] === CR : crBefore
        if (this.#lineOctets > this.#lineOctetsMax + 1) this.#fail('line-too-long')
        return -1
      }
      const isLineEnd = lf > start ? chunk[lf - 1] === CR : crBefore
      const lineOctets = before + (lf - start) + 1
      crBefore = false
      if (isLineEnd) {
        if (lineOctets === 3 && before === 0 && chunk[start] === DOT) return start
        if (lineOctets - 2 > this.#lineOctetsMax) this.#fail('line-too-long')
        before = 0
      } else {
        this.#fail('line-ends')
        before = lineOctets
      }
      start = lf + 1
    }
  }

  /** How many octets at the end of the chunk could be the beginning of the final dot. */
  #heldBack(chunk: Buffer): number {
    const octets = this.#lineOctets
    if (octets === 0 || octets > 2 || octets > chunk.length) return 0
    if (chunk[chunk.length - octets] !== DOT) return 0
    return octets === 1 || chunk[chunk.length - 1] === CR ? octets : 0
  }
}

/** Doubles leading dots of a whole text with CRLF line ends. RFC 5321 §4.5.2. */
export function stuffDots(bytes: Uint8Array): Buffer {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const parts: Buffer[] = []
  let copied = 0
  for (let at = dotAfterLineEnd(source, 0, true); at >= 0; at = dotAfterLineEnd(source, at + 1, false)) {
    parts.push(source.subarray(copied, at + 1))
    copied = at
  }
  if (parts.length === 0) return source
  parts.push(source.subarray(copied))
  return Buffer.concat(parts)
}

/** Removes the doubled dots of a whole text in wire form. */
export function unstuffDots(bytes: Uint8Array): Buffer {
  const parts = createUnstuffer()(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
}

/** Removes doubled dots from a stream of chunks; the result is views of the chunk, in order. */
export function createUnstuffer(): (chunk: Buffer) => Buffer[] {
  let last2 = CR
  let last1 = LF
  return (chunk) => {
    if (chunk.length === 0) return []
    const parts: Buffer[] = []
    let copied = 0
    const skip = (at: number): void => {
      if (at > copied) parts.push(chunk.subarray(copied, at))
      copied = at + 1
    }
    if (chunk[0] === DOT && last2 === CR && last1 === LF) skip(0)
    if (last1 === CR && chunk[0] === LF && chunk[1] === DOT) skip(1)
    for (let at = dotAfterLineEnd(chunk, 0, false); at >= 0; at = dotAfterLineEnd(chunk, at + 1, false))
      skip(at)
    if (copied === 0) parts.push(chunk)
    else if (copied < chunk.length) parts.push(chunk.subarray(copied))
    last2 = chunk.length > 1 ? (chunk[chunk.length - 2] ?? 0) : last1
    last1 = chunk[chunk.length - 1] ?? 0
    return parts
  }
}

/** Position of the next dot that follows CRLF at or after `from`; with `atStart` also a dot at position 0. */
function dotAfterLineEnd(chunk: Buffer, from: number, atStart: boolean): number {
  if (atStart && chunk[0] === DOT) return 0
  const at = chunk.indexOf('\r\n.', Math.max(0, from - 2), 'latin1')
  return at < 0 ? -1 : at + 2
}
