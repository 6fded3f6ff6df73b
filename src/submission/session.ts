// What one client session may do next: the states of a submission dialogue without sockets. The wire adapter
// (`wire/connection.ts`) asks here for every MAIL, RCPT and DATA and writes what it gets.
import type { Identity } from '../accounts/account.ts'
import type { Envelope, Recipient } from '../smtp/envelope.ts'
import { mailboxKey } from '../smtp/mailbox.ts'
import { type CataloguedReply, cataloguedReply } from '../smtp/replies.ts'
import { decodeCommandLine, parseMailCommand, parseRcptCommand } from './command-line.ts'
import type { SenderPolicy } from './sender-policy.ts'

export interface SessionDeps {
  readonly mayAccept: () => boolean
  readonly senderPolicy: SenderPolicy
}

export interface SessionLimits {
  readonly messageSizeMax: number
  readonly recipientsMax: number
}

/** The transaction of one session: no state, MAIL given, RCPT given. RFC 5321 §3.3. */
export class SubmissionSession {
  readonly #deps: SessionDeps
  readonly #limits: SessionLimits
  #envelope: Omit<Envelope, 'recipients'> | null = null
  readonly #recipients = new Map<string, Recipient>()
  #refusedForRoom = 0

  constructor(deps: SessionDeps, limits: SessionLimits) {
    this.#deps = deps
    this.#limits = limits
  }

  /** A transaction was begun and is not over. */
  get inTransaction(): boolean {
    return this.#envelope !== null
  }

  /** How many recipients of this transaction were refused because it is full. */
  get refusedForRoom(): number {
    return this.#refusedForRoom
  }

  /** RSET, EHLO, STARTTLS and the end of a message: forget the transaction. */
  reset(): void {
    this.#envelope = null
    this.#recipients.clear()
    this.#refusedForRoom = 0
  }

  /** MAIL FROM by a client that is logged in over TLS. */
  async mail(line: Uint8Array, identity: Identity): Promise<CataloguedReply> {
    if (this.#envelope !== null)
      return cataloguedReply('bad-sequence', { expected: 'RSET or finish the transaction' })
    const text = decodeCommandLine(line)
    if (text === null) return cataloguedReply('syntax-mail')
    const command = parseMailCommand(text)
    if (command.kind === 'refused') return command.reply
    if (command.declaredSize !== null && command.declaredSize > this.#limits.messageSizeMax) {
      return cataloguedReply('message-too-large', { max: this.#limits.messageSizeMax })
    }
    if (!this.#deps.mayAccept()) return cataloguedReply('storage-low')
    const refusal = await this.#deps.senderPolicy(command.envelope.reversePath, identity.customer)
    if (refusal !== null) return refusal
    this.#envelope = command.envelope
    return cataloguedReply('sender-ok')
  }

  /** RCPT TO. A repeated recipient is acknowledged and delivered to once, with its first parameters. */
  rcpt(line: Uint8Array): CataloguedReply {
    if (this.#envelope === null) return cataloguedReply('bad-sequence', { expected: 'MAIL' })
    const text = decodeCommandLine(line)
    if (text === null) return cataloguedReply('syntax-rcpt')
    const command = parseRcptCommand(text, this.#envelope.smtpUtf8)
    if (command.kind === 'refused') return command.reply
    const { recipient } = command
    // Local-parts are compared as written: whether case matters is the receiver's to say (RFC 5321 §2.4).
    const key = `${recipient.forwardPath.localPart}@${recipient.forwardPath.domain}`
    if (!this.#recipients.has(key)) {
      if (this.#recipients.size >= this.#limits.recipientsMax) {
        this.#refusedForRoom++
        return cataloguedReply('recipients-too-many', { max: this.#limits.recipientsMax })
      }
      this.#recipients.set(key, recipient)
    }
    return cataloguedReply('recipient-ok')
  }

  /** The complete envelope for DATA, or the refusal. The transaction is over either way once DATA is done. */
  envelopeForData(): Envelope | CataloguedReply {
    if (this.#envelope === null) return cataloguedReply('bad-sequence', { expected: 'MAIL' })
    if (this.#recipients.size === 0) return cataloguedReply('bad-sequence', { expected: 'RCPT' })
    if (!this.#deps.mayAccept()) return cataloguedReply('storage-low')
    return { ...this.#envelope, recipients: [...this.#recipients.values()] }
  }

  /** The reverse-path in comparable form, for the log. */
  get reversePathText(): string | null {
    const path = this.#envelope?.reversePath
    return path ? mailboxKey(path) : null
  }
}
