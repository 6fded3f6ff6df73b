// One mail transaction on an open channel: MAIL, RCPT for each recipient, DATA, the message, the final dot.
// Yields a transcript, not a judgement (classify.ts judges). RFC 5321 §3.3, RFC 2920.
//
//   commands ─▶ [MAIL] ─▶ [RCPT…] ─▶ [DATA] ─354─▶ content ─▶ dot ─▶ final reply
// With PIPELINING the first three leave in one write, otherwise each waits for the last one's reply.
// - No recipient accepted, but 354: a lone dot ends the transaction (RFC 2920 §3.1); its reply counts for nothing.
// - DATA answered with anything but 354: nothing is sent; a 2xx there is a breach of protocol.
// - Connection lost after the final dot has left: `inDoubt`, the mail may have arrived.
// - `mayStillSend` says no (another node may own the delivery by now, fencing): asked right before the write that
//   holds the final dot, and after 354. The connection is closed, no dot is ever sent, `fenced`.
// - Body damaged or unreadable: no dot is ever sent, the connection is destroyed, a fault is thrown.
import { Fault } from '../../runtime/fault.ts'
import { type Reply, replyClass } from '../../smtp/reply.ts'
import type { OutgoingCopy } from '../outgoing-copy.ts'
import type { Channel } from './channel.ts'
import type { Trouble, Wire } from './wire.ts'

export interface Order {
  /** Complete commands with CRLF (commands.ts). */
  readonly mail: string
  readonly rcpts: readonly string[]
  readonly copy: OutgoingCopy
  readonly pipelining: boolean
  /** Whether the claims are still ours; answers at once. */
  readonly mayStillSend: () => boolean
}

export interface TransactionTimeouts {
  readonly command: number
  readonly data: number
  readonly finalDot: number
}

/** What was said; `null` where it did not come to that. */
export interface Transcript {
  mail: Reply | null
  /** One for each RCPT, in order. */
  readonly recipients: (Reply | null)[]
  data: Reply | null
  final: Reply | null
  trouble: Trouble | null
  /** The final dot has left and no reply came: the next hop may have the mail. */
  inDoubt: boolean
  /** The claims are no longer ours: what was said counts for nothing, the next hop did not get the mail. */
  fenced: boolean
  /** The session stands between two transactions and can take the next one. */
  reusable: boolean
}

const DATA = 'DATA\r\n'
const DOT = Buffer.from('.\r\n')
const RSET = Buffer.from('RSET\r\n')
/** Up to here a message goes out in one write. */
const ONE_WRITE_OCTETS_MAX = 128 * 1024
/** Slowest peer that a message is sent to, beyond the `data` time-out. */
const OCTETS_PER_MS_MIN = 8
/** Each recipient may cost the next hop a look-up. */
const PER_RECIPIENT_MS = 5000
const CR = 0x0d
const LF = 0x0a

const isSuccess = (reply: Reply | null): boolean => reply !== null && replyClass(reply) === 'success'

export async function transact(
  channel: Channel,
  order: Order,
  timeouts: TransactionTimeouts,
): Promise<Transcript> {
  const { wire } = channel
  const transcript: Transcript = {
    mail: null,
    recipients: order.rcpts.map(() => null),
    data: null,
    final: null,
    trouble: null,
    inDoubt: false,
    fenced: false,
    reusable: false,
  }
  try {
    wire.arm(timeouts.command + order.rcpts.length * PER_RECIPIENT_MS, 'reply to MAIL, RCPT or DATA')
    if (order.pipelining) await commandsAtOnce(wire, order, transcript)
    else await commandsOneByOne(wire, order, transcript)
    if (transcript.trouble === null) await afterCommands(wire, order, transcript, timeouts)
  } catch (fault) {
    wire.destroy()
    throw fault
  }
  if (transcript.reusable) wire.disarm()
  return transcript
}

async function commandsAtOnce(wire: Wire, order: Order, transcript: Transcript): Promise<void> {
  wire.send(Buffer.from(order.mail + order.rcpts.join('') + DATA))
  transcript.mail = await next(wire, transcript)
  for (let index = 0; index < order.rcpts.length && transcript.trouble === null; index++) {
    transcript.recipients[index] = await next(wire, transcript)
  }
  if (transcript.trouble === null) transcript.data = await next(wire, transcript)
}

async function commandsOneByOne(wire: Wire, order: Order, transcript: Transcript): Promise<void> {
  transcript.mail = await ask(wire, order.mail, transcript)
  if (!isSuccess(transcript.mail)) return
  for (const [index, rcpt] of order.rcpts.entries()) {
    const reply = await ask(wire, rcpt, transcript)
    if (reply === null) return
    transcript.recipients[index] = reply
    // 421: the peer is closing; further commands would only run into the end.
    if (reply.code === 421) return
  }
  if (transcript.recipients.some(isSuccess)) transcript.data = await ask(wire, DATA, transcript)
}

/** The next reply, or `null` with the trouble noted. */
async function next(wire: Wire, transcript: Transcript): Promise<Reply | null> {
  const answer = await wire.reply()
  if (answer.kind === 'reply') return answer.reply
  transcript.trouble = answer.trouble
  return null
}

function ask(wire: Wire, command: string, transcript: Transcript): Promise<Reply | null> {
  wire.send(Buffer.from(command))
  return next(wire, transcript)
}

async function afterCommands(
  wire: Wire,
  order: Order,
  transcript: Transcript,
  timeouts: TransactionTimeouts,
): Promise<void> {
  const { data } = transcript
  const isWanted = isSuccess(transcript.mail) && transcript.recipients.some(isSuccess)
  if (data?.code === 354) {
    // A peer that has already answered what we have not yet sent cannot be believed.
    if (!wire.isQuiet) return breach(wire, transcript, 'The peer said more than 354 to DATA.')
    // After 354 only closing ends a transaction without a mail.
    if (!order.mayStillSend()) return fence(wire, transcript)
    if (!isWanted) wire.send(DOT)
    else if (!(await sendContent(wire, order, transcript, timeouts))) return
    wire.arm(timeouts.finalDot, 'reply to the final dot')
    const final = await next(wire, transcript)
    if (isWanted) {
      transcript.final = final
      transcript.inDoubt = final === null
    }
    transcript.reusable = final !== null && final.code !== 421
    return
  }
  if (data !== null && replyClass(data) !== 'transient' && replyClass(data) !== 'permanent') {
    return breach(wire, transcript, `The peer answered DATA with ${data.code} instead of 354.`)
  }
  await reset(wire, transcript, timeouts)
}

function breach(wire: Wire, transcript: Transcript, detail: string): void {
  wire.fail({ kind: 'protocol', detail })
  transcript.trouble = wire.trouble
}

function fence(wire: Wire, transcript: Transcript): void {
  wire.destroy()
  transcript.fenced = true
}

/** Ends a transaction that never came to its data, so that the session can take the next. */
async function reset(wire: Wire, transcript: Transcript, timeouts: TransactionTimeouts): Promise<void> {
  const replies = [transcript.mail, transcript.data, ...transcript.recipients]
  if (replies.some((reply) => reply?.code === 421)) return
  wire.arm(timeouts.command, 'reply to RSET')
  wire.send(RSET)
  const answer = await wire.reply()
  transcript.reusable = answer.kind === 'reply' && isSuccess(answer.reply)
}

/** True when all of it and the final dot are on their way; false with the reason noted. */
async function sendContent(
  wire: Wire,
  { copy, mayStillSend }: Order,
  transcript: Transcript,
  timeouts: TransactionTimeouts,
): Promise<boolean> {
  wire.arm(timeouts.data + copy.sizeBytes / OCTETS_PER_MS_MIN, 'room for the message')
  if (Array.isArray(copy.body) && copy.sizeBytes <= ONE_WRITE_OCTETS_MAX) {
    const whole = Buffer.concat([...copy.head, ...copy.body, DOT])
    verifyEnd(copy, whole.length - DOT.length, whole.at(-5), whole.at(-4))
    if (mayStillSend()) wire.send(whole)
    else fence(wire, transcript)
    return !transcript.fenced
  }
  let sentBytes = 0
  let beforeLast: number | undefined
  let last: number | undefined
  const send = (part: Uint8Array): Promise<void> | null => {
    if (part.length === 0) return null
    sentBytes += part.length
    beforeLast = part.length > 1 ? part.at(-2) : last
    last = part.at(-1)
    wire.send(part)
    return wire.ready()
  }
  send(Buffer.concat(copy.head))
  for await (const part of copy.body) {
    const room = send(part)
    if (room !== null) await room
    // A reply before the end (usually 4xx or 5xx and a hang-up) or a broken wire: no use in going on.
    if (wire.trouble !== null) return early(wire, transcript)
  }
  verifyEnd(copy, sentBytes, beforeLast, last)
  if (mayStillSend()) wire.send(DOT)
  else fence(wire, transcript)
  return !transcript.fenced
}

/** The wire broke within the content; what the peer said before it hung up is worth more than the hang-up. */
function early(wire: Wire, transcript: Transcript): false {
  const reply = wire.pending()
  if (reply !== null && replyClass(reply) !== 'success') transcript.final = reply
  else transcript.trouble = wire.trouble
  return false
}

/** A body that is short, long or without its last line end must not be ended by a dot. */
function verifyEnd(
  copy: OutgoingCopy,
  sentBytes: number,
  beforeLast: number | undefined,
  last: number | undefined,
): void {
  if (sentBytes === copy.sizeBytes && beforeLast === CR && last === LF) return
  throw new Fault(
    'spool-unreadable',
    `the stored message has ${sentBytes} octets instead of ${copy.sizeBytes}`,
  )
}
