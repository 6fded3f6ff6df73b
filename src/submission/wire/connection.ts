// One client connection: smtp-server's connection with our own EHLO, MAIL, RCPT, DATA and replies.
// The library keeps what it does well: sockets, STARTTLS without injection, SASL exchanges, command framing.
// Everything that decides is elsewhere: `SubmissionSession` (dialogue), `acceptance.ts` (message).
// Overridden methods are semi-private in smtp-server 3.21.6; the version is pinned and test/submission holds it.
import { TLSSocket } from 'node:tls'
import type { SMTPServer } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import type { Identity } from '../../accounts/account.ts'
import type { DataReader } from '../../message/wire.ts'
import { type CataloguedReply, cataloguedReply } from '../../smtp/replies.ts'
import { encodeReply, type Reply, sanitiseText } from '../../smtp/reply.ts'
import type { Reception } from '../acceptance.ts'
import { SubmissionSession } from '../session.ts'
import type { ConnectionContext } from './context.ts'
import { CommandStream, type DataSink } from './data-stream.ts'

const NEEDS_TLS = new Set(['MAIL', 'RCPT', 'DATA', 'AUTH', 'BDAT', 'VRFY', 'HELP'])
const NEEDS_LOGIN = new Set(['MAIL', 'RCPT', 'DATA', 'BDAT'])

type Done = () => void

/** The command line for the log, unless it may be a line of text that only begins like a command. */
function shownIf<K extends string>(form: RegExp, command: Buffer, field: K): { [key in K]?: string } {
  const line = command.subarray(0, 300).toString()
  const shown: { [key in K]?: string } = {}
  if (form.test(line)) shown[field] = line
  return shown
}

export class SubmissionConnection extends SMTPConnection {
  readonly #context: ConnectionContext
  readonly #dialogue: SubmissionSession
  #reception: Reception | null = null
  #flushPlanned = false
  #errors = 0
  /** Monotonic ms: when the client last completed a command, and when data last came in. */
  #commandSince: number
  #dataSince: number | null = null
  #dataProgress = 0
  readonly openedAt: number
  messages = 0
  loginFailures = 0

  constructor(
    server: SMTPServer,
    socket: SMTPConnection['_socket'],
    options: SMTPConnectionOptions | null,
    context: ConnectionContext,
  ) {
    super(server, socket, options)
    this.#context = context
    this.#dialogue = new SubmissionSession(context.sessionDeps, context.settings)
    this.openedAt = context.clock.monotonic()
    this.#commandSince = this.openedAt
  }

  // --- life ---------------------------------------------------------------------------------------------

  /** The library waits 100 ms for early talkers here; that wait costs every session more than it finds. */
  override init(): void {
    this._setListeners(() => this.connectionReady())
  }

  override _createParser(): CommandStream {
    const parser = new CommandStream({ maxCommandLength: 4096 })
    parser.oncommand = (command, callback) => this._onCommand(command, callback)
    parser.on('error', () => this.refuse(cataloguedReply('too-many-bad-commands'), 'command'))
    return parser
  }

  /** Also after STARTTLS, when the raw socket has lost its listeners. */
  override _onClose(): void {
    this.#reception?.abort()
    this.#reception = null
    if (!this._closed) this.#context.closed(this)
    super._onClose()
  }

  /** True while a transaction or message is under way; such a session is not cut by a drain. */
  get busy(): boolean {
    return this.#reception !== null || this.#dialogue.inTransaction
  }

  /** Called every few seconds: ends sessions that take too long (slowloris in any phase). */
  enforceDeadlines(now: number): void {
    const { commandTimeout, dataTimeout, dataIdleTimeout, sessionTimeMax } = this.#context.settings
    if (this._closing || this._closed) return
    const inData = this.#dataSince !== null
    const late = inData
      ? now - (this.#dataSince ?? now) > dataTimeout || now - this.#dataProgress > dataIdleTimeout
      : !this._handlerPending && this.#reception === null && now - this.#commandSince > commandTimeout
    if (late || (!this.busy && now - this.openedAt > sessionTimeMax)) this.#end('session-too-long')
  }

  /** A drain or stop: says 421 and closes, unless a transaction runs and `force` is not set. */
  shutDown(force: boolean): void {
    if (force || !this.busy) this.#end('shutting-down')
  }

  #end(id: 'session-too-long' | 'shutting-down'): void {
    this.reply(cataloguedReply(id, { hostname: this.#context.hostname }))
    this.#flush()
    this.close()
    if (this.#reception !== null) this._socket.destroy()
  }

  // --- replies ------------------------------------------------------------------------------------------

  /** Writes a reply. Replies to pipelined commands leave in one TLS record: the socket is corked until the tick ends. */
  reply(value: Reply): void {
    this.#write(encodeReply(value))
  }

  /** A refusal: written, logged, counted; too many end the connection. */
  refuse(
    value: CataloguedReply,
    stage: string,
    details: { reason?: string; forwardPath?: string } = {},
  ): void {
    const isFull = value.id === 'recipients-too-many'
    if (!isFull || this.#dialogue.refusedForRoom === 1) {
      this.#context.refused(this, value, stage, this.#dialogue.reversePathText, details)
    }
    this.reply(value)
    // No mistake: the client sends the rest in another transaction (RFC 5321 §4.5.3.1.10). Logged once for all.
    if (isFull) return
    if (value.code === 421) return this.#closeAfterReply()
    if (++this.#errors < this.#context.settings.errorsMax) return
    this.reply(cataloguedReply('too-many-bad-commands'))
    this.#closeAfterReply()
  }

  #closeAfterReply(): void {
    this.#flush()
    this.close()
  }

  #write(text: string): void {
    const socket = this._socket
    if (this._upgrading || socket.destroyed || !socket.writable) return
    if (!this.#flushPlanned) {
      this.#flushPlanned = true
      socket.cork()
      setImmediate(() => this.#flush())
    }
    socket.write(text)
  }

  #flush(): void {
    if (!this.#flushPlanned) return
    this.#flushPlanned = false
    this._socket.uncork()
  }

  /** What the library itself says: greeting, STARTTLS, AUTH, NOOP, QUIT. Same line format, same corking. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const lines = (Array.isArray(data) ? data : [data ?? '']).map((line) => sanitiseText(line))
    const enhanced = this._getEnhancedStatusCode(code, context)
    this.#write(
      lines
        .map((line, at) => {
          const text = [enhanced, line].filter(Boolean).join(' ')
          return `${code}${at < lines.length - 1 ? '-' : ' '}${text}\r\n`
        })
        .join(''),
    )
    if (code === 220) this.#flush()
    if (code === 421) this.#closeAfterReply()
  }

  override _getEnhancedStatusCode(code: number, context?: string | false): string {
    if (code === 421 && context !== false) return '4.7.0'
    return super._getEnhancedStatusCode(code, context)
  }

  // --- commands -----------------------------------------------------------------------------------------

  override _onCommand(command: Buffer, callback?: Done): void {
    this.#commandSince = this.#context.clock.monotonic()
    const done = callback ?? (() => undefined)
    if (this._upgrading || !this._ready || this._closing || this._nextHandler)
      return super._onCommand(command, done)
    const verb = command.subarray(0, 10).toString('latin1').split(/[ :]/, 1)[0]?.toUpperCase() ?? ''
    if (this.#context.draining() && !this.busy && verb !== 'QUIT') return this.#end('shutting-down')
    const refusal = this.#refusalBefore(verb)
    if (refusal === null) return super._onCommand(command, done)
    // What is no verb may be content or a password (AUTH or DATA was refused, the client went on): not for the log.
    const isVerb = typeof this._getHandler(verb) === 'function'
    this.refuse(refusal, isVerb ? verb.toLowerCase() : 'command')
    this._whenWritable(done)
  }

  /** Nothing before TLS (S2), nothing before login (S3). */
  #refusalBefore(verb: string): CataloguedReply | null {
    if (!this.secure && NEEDS_TLS.has(verb)) return cataloguedReply('tls-required')
    if (NEEDS_LOGIN.has(verb) && !this.hostNameAppearsAs)
      return cataloguedReply('bad-sequence', { expected: 'EHLO' })
    if (NEEDS_LOGIN.has(verb) && this.identity === null) return cataloguedReply('auth-required')
    return typeof this._getHandler(verb) === 'function' && !this._isDisabled(verb)
      ? null
      : cataloguedReply('command-not-recognized')
  }

  /** Who is logged in on this connection. */
  get identity(): Identity | null {
    const user: Identity | false | undefined = this.session.user
    return user || null
  }

  override handler_EHLO(command: Buffer, callback: Done): void {
    const [, name, more] = command.toString('latin1').trim().split(/\s+/)
    if (!name || more !== undefined || name.length > 255 || !/^[\x21-\x7e]+$/.test(name)) {
      this.refuse(cataloguedReply('parameter-invalid', { parameter: 'EHLO' }), 'ehlo')
      return callback()
    }
    this.hostNameAppearsAs = name.toLowerCase()
    this._resetSession()
    this.#dialogue.reset()
    const { hostname, settings } = this.#context
    const extensions = [
      'PIPELINING',
      `SIZE ${settings.messageSizeMax}`,
      '8BITMIME',
      'SMTPUTF8',
      'ENHANCEDSTATUSCODES',
      'DSN',
    ]
    if (!this.secure) extensions.push('STARTTLS')
    else if (this.identity === null) extensions.push('AUTH PLAIN LOGIN')
    this.send(250, [hostname, ...extensions], false)
    callback()
  }

  override handler_RSET(_command: Buffer, callback: Done): void {
    this.#dialogue.reset()
    this.reply({ code: 250, enhanced: '2.0.0', lines: ['Flushed'] })
    callback()
  }

  override handler_STARTTLS(command: Buffer, callback: Done): void {
    this.#dialogue.reset()
    super.handler_STARTTLS(command, callback)
  }

  override handler_MAIL(command: Buffer, callback: Done): void {
    const identity = this.identity
    if (identity === null) {
      this.refuse(cataloguedReply('auth-required'), 'mail')
      return callback()
    }
    this.#dialogue
      .mail(command, identity)
      .catch((error: unknown) => this.#context.fault(error, 'mail'))
      .then((value) => {
        if (value.code < 400) this.reply(value)
        else this.refuse(value, 'mail', shownIf(/^MAIL FROM:</i, command, 'reason'))
        callback()
      })
  }

  override handler_RCPT(command: Buffer, callback: Done): void {
    const value = this.#dialogue.rcpt(command)
    if (value.code < 400) this.reply(value)
    else this.refuse(value, 'rcpt', shownIf(/^RCPT TO:</i, command, 'forwardPath'))
    callback()
  }

  override handler_DATA(command: Buffer, callback: Done): void {
    const identity = this.identity
    const envelope = this.#dialogue.envelopeForData()
    const parser = this._parser
    const malformed = command.toString('latin1').trim().length !== 4
    if ('code' in envelope || malformed || identity === null || !(parser instanceof CommandStream)) {
      const value =
        'code' in envelope ? envelope : cataloguedReply('parameter-invalid', { parameter: 'DATA' })
      this.refuse(value, 'data')
      return callback()
    }
    const tls = this.tlsFacts()
    const reception = this.#context.receive({ sessionId: this.id, envelope, identity, ...tls })
    this.#reception = reception
    this.#dataSince = this.#dataProgress = this.#context.clock.monotonic()
    const { lineOctetsMax, messageSizeMax } = this.#context.settings
    parser.receiveData(this.#sinkFor(reception), { lineOctetsMax, octetsMax: messageSizeMax })
    this.reply({ code: 354, enhanced: null, lines: ['End data with <CR><LF>.<CR><LF>'] })
    callback()
  }

  #sinkFor(reception: Reception): DataSink {
    return {
      write: (content) => {
        this.#dataProgress = this.#context.clock.monotonic()
        return reception.write(content)
      },
      end: async (reader: DataReader) => {
        this.#dataSince = null
        this._handlerPending = true
        const value = await reception.finish(reader)
        this._handlerPending = false
        this.#endMessage(value)
      },
      tooLarge: () => {
        reception.abort()
        this.#endMessage(cataloguedReply('message-too-large', { max: this.#context.settings.messageSizeMax }))
        this.#closeAfterReply()
      },
    }
  }

  #endMessage(value: CataloguedReply): void {
    const closed = this.#reception === null
    this.#reception = null
    this.#dataSince = null
    this.#commandSince = this.#context.clock.monotonic()
    if (value.code < 400) this.messages++
    // A client that left in the meantime gets no answer; the message, if accepted, is delivered all the same.
    if (closed) return
    if (value.code < 400) this.reply(value)
    else this.refuse(value, 'data')
    this.#dialogue.reset()
    if (this.#context.draining()) this.shutDown(false)
  }

  /** Protocol and suite of the session, for log and journal. */
  tlsFacts(): { tlsProtocol: string; tlsCipher: string } {
    const socket = this._socket
    if (!(socket instanceof TLSSocket)) return { tlsProtocol: '', tlsCipher: '' }
    return { tlsProtocol: socket.getProtocol() ?? '', tlsCipher: socket.getCipher()?.name ?? '' }
  }
}
