// The text of MAIL and RCPT for one next hop, and what must be said no to before a word is sent because the
// hop did not offer it. Pure. RFC 5321 §4.1.1, 1870, 3461, 6152, 6531, 8689.
import { strict as assert } from 'node:assert'
import type { MessageMeta } from '../../queue/message.ts'
import type { Recipient } from '../../smtp/envelope.ts'
import { needsSmtpUtf8, wireAddress } from '../../smtp/mailbox.ts'
import type { Extensions } from './extensions.ts'

/** What the hop cannot carry; each is final for the message or recipient, another MX host is not asked. */
export type Obstacle = 'too-large' | 'eight-bit' | 'smtputf8' | 'requiretls'

/** What stops the whole message at this hop, `null` for nothing. @param sizeBytes octets on the wire */
export function messageObstacle(
  message: MessageMeta,
  sizeBytes: number,
  extensions: Extensions,
): Obstacle | null {
  if (message.envelope.requireTls && !extensions.requireTls) return 'requiretls'
  const { reversePath } = message.envelope
  const utf8 = message.headerUtf8 || (reversePath !== null && needsSmtpUtf8(reversePath))
  if (utf8 && !extensions.smtpUtf8) return 'smtputf8'
  if (message.eightBit && !extensions.eightBitMime) return 'eight-bit'
  return extensions.sizeMax !== null && sizeBytes > extensions.sizeMax ? 'too-large' : null
}

/** What stops one recipient at this hop, `null` for nothing. */
export const recipientObstacle = (recipient: Recipient, extensions: Extensions): Obstacle | null =>
  needsSmtpUtf8(recipient.forwardPath) && !extensions.smtpUtf8 ? 'smtputf8' : null

/** MAIL with its parameters, CRLF included. */
export function mailCommand(message: MessageMeta, sizeBytes: number, extensions: Extensions): string {
  const { reversePath, dsn, smtpUtf8, requireTls } = message.envelope
  let command = `MAIL FROM:<${reversePath === null ? '' : wireAddress(reversePath)}>`
  if (extensions.size) command += ` SIZE=${sizeBytes}`
  if ((message.eightBit || message.headerUtf8) && extensions.eightBitMime) command += ' BODY=8BITMIME'
  if ((smtpUtf8 || message.headerUtf8) && extensions.smtpUtf8) command += ' SMTPUTF8'
  if (requireTls && extensions.requireTls) command += ' REQUIRETLS'
  if (extensions.dsn && dsn.ret !== null) command += dsn.ret === 'full' ? ' RET=FULL' : ' RET=HDRS'
  if (extensions.dsn && dsn.envid !== null) command += ` ENVID=${dsn.envid}`
  return line(command)
}

/** RCPT with its parameters, CRLF included; DSN parameters go along raw when the hop offers DSN. */
export function rcptCommand(recipient: Recipient, extensions: Extensions): string {
  let command = `RCPT TO:<${wireAddress(recipient.forwardPath)}>`
  if (extensions.dsn) {
    const { notify, orcpt } = recipient.dsn
    if (notify !== null) command += ` NOTIFY=${notify === 'never' ? 'NEVER' : notify.join(',').toUpperCase()}`
    if (orcpt !== null) command += ` ORCPT=${orcpt}`
  }
  return line(command)
}

/** The brands promise it; a command that could be two is the one thing that must never go out. */
function line(command: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  assert(!/[\u0000-\u001f\u007f]/.test(command), 'a command holds a control character')
  return `${command}\r\n`
}
