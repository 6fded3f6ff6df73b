// From the first octet after 354 to the final reply: the one place that acknowledges a message.
//
// The octets stream through: header collected (bounded) and judged as soon as it is complete, body to the
// spool and un-stuffed to the scanner, with back-pressure from both. The order before a 250: no wire problem,
// header fits (S5, M4, loops), scanner says clean (M1), body and recipients on stable storage. A refusal found
// early is remembered, the rest is read and thrown away, and the reply comes after the final dot.
import type { Identity } from '../accounts/account.ts'
import type { JournalEntry } from '../journal/entry.ts'
import { createUnstuffer, type DataReader } from '../message/wire.ts'
import type { Log } from '../observability/log.ts'
import type { Claim, MessageMeta, StoredBody } from '../queue/message.ts'
import type { BodyWriter, QueueStore } from '../queue/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import type { Scan, Scanner, Verdict } from '../scanning/scanner.ts'
import type { Envelope } from '../smtp/envelope.ts'
import { type CataloguedReply, cataloguedReply, type ReplyId } from '../smtp/replies.ts'
import type { HeaderJudge, JudgedHeader } from './header-judge.ts'

/** What the dialogue established before DATA. */
export interface Transaction {
  readonly sessionId: string
  readonly envelope: Envelope
  readonly identity: Identity
  readonly tlsProtocol: string
  readonly tlsCipher: string
}

/** One message being received. Exactly one of `finish` and `abort` ends it. */
export interface Reception {
  /** The next octets in wire form; a promise when the caller should wait (back-pressure). */
  write(content: Buffer): Promise<void> | null
  /** The final dot is in: the reply. Never rejects. `checks` is the reader that saw all octets. */
  finish(checks: DataReader): Promise<CataloguedReply>
  /** The client went away or sent too much: nothing is kept. */
  abort(): void
}

export interface AcceptanceDeps {
  readonly queue: QueueStore
  readonly scanner: Scanner
  readonly judgeHeader: HeaderJudge
  readonly clock: Clock
  readonly newId: () => string
  readonly log: Log
  /** Hands born-leased deliveries to the delivery room. */
  readonly submit: (claims: readonly Claim[]) => void
}

export interface AcceptanceSettings {
  readonly headerSizeMax: number
  readonly lineOctetsMax: number
  readonly lifetimeMs: number
}

const HEADER_END = Buffer.from('\r\n\r\n')

/** Makes the function that begins the reception of a message. */
export const createAcceptance =
  (deps: AcceptanceDeps, settings: AcceptanceSettings) =>
  (transaction: Transaction): Reception =>
    new MessageReception(deps, settings, transaction)

class MessageReception implements Reception {
  readonly #deps: AcceptanceDeps
  readonly #settings: AcceptanceSettings
  readonly #transaction: Transaction
  readonly #id: string
  readonly #unstuff = createUnstuffer()
  #pending: Buffer | null = Buffer.alloc(0)
  #judged: JudgedHeader | null = null
  #refusal: CataloguedReply | null = null
  #writer: BodyWriter | null = null
  #scan: Scan | null = null
  #body: StoredBody | null = null

  constructor(deps: AcceptanceDeps, settings: AcceptanceSettings, transaction: Transaction) {
    this.#deps = deps
    this.#settings = settings
    this.#transaction = transaction
    this.#id = deps.newId()
  }

  write(content: Buffer): Promise<void> | null {
    if (this.#refusal !== null || content.length === 0) return null
    if (this.#pending === null) return this.#writeBody(content)
    const searched = Math.max(0, this.#pending.length - 3)
    const pending = this.#pending.length === 0 ? content : Buffer.concat([this.#pending, content])
    const startsEmpty = pending.length >= 2 && pending[0] === 0x0d && pending[1] === 0x0a
    const found = startsEmpty ? 0 : pending.indexOf(HEADER_END, searched)
    const headerOctets = startsEmpty ? 0 : found + 2
    if (found < 0 || headerOctets > this.#settings.headerSizeMax) {
      if (Math.max(headerOctets, found < 0 ? pending.length : 0) > this.#settings.headerSizeMax) {
        this.#refuse(cataloguedReply('header-too-large', { max: this.#settings.headerSizeMax }))
      } else this.#pending = pending
      return null
    }
    return this.#tryBeginBody(pending.subarray(0, headerOctets), pending.subarray(headerOctets))
  }

  /** As `#beginBody`; a fault is a refusal here, for nobody else catches it on the way to the socket. */
  #tryBeginBody(header: Buffer, behind: Buffer): Promise<void> | null {
    try {
      return this.#beginBody(header, behind)
    } catch (error) {
      this.#refuse(this.#fault(error))
      return null
    }
  }

  /** Judges the complete header; when it fits, spool and scan begin with the octets that came behind it. */
  #beginBody(header: Buffer, behind: Buffer): Promise<void> | null {
    this.#pending = null
    const judged = this.#deps.judgeHeader(header, this.#transaction, this.#id)
    if (judged.kind === 'refused') {
      this.#refuse(judged.reply)
      return null
    }
    this.#judged = judged
    this.#writer = this.#deps.queue.beginBody(this.#id)
    this.#scan = this.#deps.scanner.begin()
    const waitForHeader = this.#feedScan(header)
    const waitForBody = this.#writeBody(behind)
    return both(waitForHeader, waitForBody)
  }

  #writeBody(content: Buffer): Promise<void> | null {
    if (content.length === 0) return null
    const spooled = this.#writer?.write(content) ?? null
    return both(spooled, this.#feedScan(content))
  }

  #feedScan(content: Buffer): Promise<void> | null {
    let wait: Promise<void> | null = null
    for (const part of this.#unstuff(content)) wait = both(wait, this.#scan?.write(part) ?? null)
    return wait
  }

  #refuse(reply: CataloguedReply): void {
    this.#refusal = reply
    this.#pending = null
    this.abort()
  }

  abort(): void {
    this.#writer?.abort()
    this.#scan?.abort()
    this.#writer = null
    this.#scan = null
  }

  async finish(checks: DataReader): Promise<CataloguedReply> {
    try {
      return await this.#decide(checks)
    } catch (error) {
      return this.#fault(error)
    } finally {
      this.abort()
    }
  }

  async #decide(checks: DataReader): Promise<CataloguedReply> {
    if (checks.problem === 'line-ends') return cataloguedReply('message-line-ends')
    if (checks.problem === 'line-too-long') {
      return cataloguedReply('message-line-too-long', { max: this.#settings.lineOctetsMax })
    }
    // A message without an empty line is all header.
    if (this.#pending !== null && this.#refusal === null) this.#beginBody(this.#pending, Buffer.alloc(0))
    if (this.#refusal !== null) return this.#refusal
    const scanned = await this.#finishScan()
    if (scanned.kind !== 'clean') return refusalForVerdict(scanned)
    const health = this.#deps.queue.health()
    if (!health.accepting) return cataloguedReply('storage-low')
    this.#body = await this.#finishBody()
    const claims = await this.#enqueue(this.#body, checks.eightBit, this.#deps.clock.now())
    this.#logAccepted()
    this.#deps.submit(claims)
    return cataloguedReply('message-accepted', { id: this.#id })
  }

  /** The scan stays ours while it works: a client that leaves meanwhile ends it, and nothing is kept. */
  async #finishScan(): Promise<Verdict> {
    return this.#scan?.finish() ?? { kind: 'unavailable', reason: 'no scan was begun' }
  }

  async #finishBody(): Promise<StoredBody> {
    const writer = this.#writer
    this.#writer = null
    if (writer === null) throw new Fault('internal', 'the body was not begun')
    return writer.finish()
  }

  #enqueue(body: StoredBody, eightBit: boolean, now: number): Promise<Claim[]> {
    const { envelope, identity, sessionId: _, ...tls } = this.#transaction
    const judged = this.#judged
    if (judged === null) throw new Fault('internal', 'the header was not judged')
    const { recipients, ...rest } = envelope
    const meta: MessageMeta = {
      id: this.#id,
      kind: 'mail',
      customer: identity.customer.name,
      credential: identity.login,
      envelope: rest,
      header: judged.header,
      sizeBytes: judged.header.length + body.sizeBytes,
      eightBit,
      headerUtf8: judged.headerUtf8,
      permit: judged.permit,
      level: 'may',
      receivedOverTls: true,
      acceptedAt: now,
      expiresAt: now + this.#settings.lifetimeMs,
    }
    const entry: JournalEntry = {
      at: now,
      kind: 'accepted',
      messageId: this.#id,
      customer: identity.customer.name,
      reversePath: envelope.reversePath?.text ?? '',
      forwardPath: null,
      facts: {
        login: identity.login,
        sizeBytes: meta.sizeBytes,
        recipients: recipients.length,
        permit: judged.permit,
        ...tls,
      },
    }
    return this.#deps.queue.enqueue({ meta, recipients, body }, [entry], { lease: true })
  }

  #logAccepted(): void {
    const { envelope, identity, sessionId } = this.#transaction
    this.#deps.log.event('submission.accepted', {
      session: sessionId,
      message: this.#id,
      customer: identity.customer.name,
      login: identity.login,
      reversePath: envelope.reversePath?.text ?? '',
      recipients: envelope.recipients.length,
      sizeBytes: (this.#judged?.header.length ?? 0) + (this.#body?.sizeBytes ?? 0),
      permit: this.#judged?.permit ?? null,
    })
  }

  #fault(error: unknown): CataloguedReply {
    const incident = this.#id
    const code = error instanceof Fault ? error.code : 'internal'
    this.#deps.log.event('relay.fault', { incident, code, reason: faultText(error), where: 'acceptance' })
    return code === 'store-full'
      ? cataloguedReply('storage-low')
      : cataloguedReply('local-fault', { incident })
  }
}

function refusalForVerdict(verdict: Exclude<Verdict, { kind: 'clean' }>): CataloguedReply {
  const id: ReplyId = verdict.kind === 'infected' ? 'virus-found' : 'scanner-unavailable'
  return cataloguedReply(id, verdict.kind === 'infected' ? { signature: verdict.signature } : {})
}

/** Both waits as one; `null` when there is nothing to wait for. */
function both(first: Promise<void> | null, second: Promise<void> | null): Promise<void> | null {
  if (first === null) return second
  if (second === null) return first
  return Promise.all([first, second]).then(() => undefined)
}
