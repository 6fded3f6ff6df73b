// The ESMTP parameters of delivery status notifications: RET and ENVID on MAIL, NOTIFY and ORCPT on RCPT.
// RFC 3461 §4. Kept raw: what is passed on to a next hop is exactly what came in.
import { isXtext } from './xtext.ts'

export type NotifyCondition = 'success' | 'failure' | 'delay'

/** `never`, the conditions asked for, or `null` when no NOTIFY was given (then: failure, and delay if we like). */
export type Notify = 'never' | readonly NotifyCondition[] | null

export interface MessageDsn {
  /** How much of the message a failure notification may return; `null` when not said. */
  readonly ret: 'full' | 'headers' | null
  /** Envelope id as raw xtext, at most 100 characters. */
  readonly envid: string | null
}

export interface RecipientDsn {
  readonly notify: Notify
  /** Original recipient as raw `addr-type;xtext`, at most 500 characters. */
  readonly orcpt: string | null
}

export const NO_MESSAGE_DSN: MessageDsn = { ret: null, envid: null }
export const NO_RECIPIENT_DSN: RecipientDsn = { notify: null, orcpt: null }

const ENVID_LENGTH_MAX = 100
const ORCPT_LENGTH_MAX = 500

/** RET value, or `undefined` when it is neither FULL nor HDRS. */
export function parseRet(value: string): 'full' | 'headers' | undefined {
  const upper = value.toUpperCase()
  if (upper === 'FULL') return 'full'
  return upper === 'HDRS' ? 'headers' : undefined
}

export const isEnvid = (value: string): boolean =>
  value.length > 0 && value.length <= ENVID_LENGTH_MAX && isXtext(value)

/** NOTIFY value, or `undefined` when malformed: unknown or repeated words, or NEVER with others. */
export function parseNotify(value: string): Exclude<Notify, null> | undefined {
  const words = value.toLowerCase().split(',')
  if (words.length === 1 && words[0] === 'never') return 'never'
  const conditions: NotifyCondition[] = []
  for (const word of words) {
    if (word !== 'success' && word !== 'failure' && word !== 'delay') return undefined
    if (conditions.includes(word)) return undefined
    conditions.push(word)
  }
  return conditions
}

export function isOrcpt(value: string): boolean {
  const semicolon = value.indexOf(';')
  if (value.length > ORCPT_LENGTH_MAX || semicolon <= 0 || semicolon === value.length - 1) return false
  return /^[A-Za-z0-9-]+$/.test(value.slice(0, semicolon)) && /^[!-~]+$/.test(value.slice(semicolon + 1))
}
