// The listening sockets of submission: smtp-server with our connection class, fenced as libraries.md tells.
// One server per listener; sessions, limits, deadlines, certificates and draining are common to all.
import { readFile } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { SMTPServer, type SMTPServerAuthentication, type SMTPServerOptions } from 'smtp-server'
import type { LoginCheck } from '../accounts/login.ts'
import type { Log } from '../observability/log.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import { type CataloguedReply, cataloguedReply, type ReplyId } from '../smtp/replies.ts'
import { sanitiseText } from '../smtp/reply.ts'
import type { Reception, Transaction } from './acceptance.ts'
import { createClientLimits } from './client-limits.ts'
import type { SessionDeps } from './session.ts'
import type { CertificateSettings, ListenerSettings, SubmissionSettings } from './settings.ts'
import { readTlsOptions } from './tls.ts'
import { SubmissionConnection } from './wire/connection.ts'
import type { ConnectionContext } from './wire/context.ts'

const DEADLINE_CHECK_MS = 2_000
const CERTIFICATE_CHECK_MS = 60_000
/** For the TLS handshake of an implicit listener, in all. */
const HANDSHAKE_LIMIT_MS = 30_000

export interface SubmissionDeps {
  readonly clock: Clock
  readonly log: Log
  readonly login: LoginCheck
  readonly sessionDeps: SessionDeps
  readonly receive: (transaction: Transaction) => Reception
  readonly newIncident: () => string
}

/** A listener that is up. */
export interface BoundListener {
  readonly address: string
  readonly port: number
  readonly encryption: ListenerSettings['encryption']
}

export interface Submission {
  /** Opens all listeners, or none: throws a `configuration` fault that names the one that failed. */
  start(): Promise<BoundListener[]>
  /** No new sessions; running transactions end; resolves when all sessions are gone or after `limitMs`. */
  drain(limitMs: number): Promise<void>
  stop(): Promise<void>
  readonly sessions: number
}

export interface SubmissionOptions {
  readonly hostname: string
  readonly listeners: readonly ListenerSettings[]
  readonly certificates: readonly CertificateSettings[]
  readonly settings: SubmissionSettings
}

export function createSubmission(deps: SubmissionDeps, options: SubmissionOptions): Submission {
  const limits = createClientLimits(options.settings)
  /** Ids of the connections that `limits` has counted. */
  const counted = new Set<string>()
  const servers: { server: SubmissionServer; settings: ListenerSettings }[] = []
  let draining = false
  let timers: Timer[] = []
  let certificateText = ''

  const context: ConnectionContext = {
    hostname: options.hostname,
    settings: options.settings,
    clock: deps.clock,
    sessionDeps: deps.sessionDeps,
    receive: deps.receive,
    draining: () => draining,
    closed(connection) {
      if (!counted.delete(connection.id)) return
      limits.leave(connection.remoteAddress)
      const durationMs = Math.round(deps.clock.monotonic() - connection.openedAt)
      deps.log.event('submission.session-closed', {
        session: connection.id,
        messages: connection.messages,
        durationMs,
      })
    },
    refused(connection, reply, stage, reversePath, details) {
      deps.log.event('submission.refused', {
        session: connection.id,
        client: connection.remoteAddress,
        customer: connection.identity?.customer.name ?? null,
        replyId: reply.id,
        code: reply.code,
        status: reply.enhanced,
        stage,
        reversePath,
        ...(details.reason === undefined ? {} : { reason: sanitiseText(details.reason, 300) }),
        ...(details.forwardPath === undefined ? {} : { forwardPath: sanitiseText(details.forwardPath, 300) }),
      })
    },
    fault(error, where) {
      const incident = deps.newIncident()
      const code = error instanceof Fault ? error.code : 'internal'
      deps.log.event('relay.fault', { incident, code, reason: faultText(error), where })
      return cataloguedReply('local-fault', { incident })
    },
  }

  const enter = (connection: SubmissionConnection): 'server' | 'client' | null => {
    const broken = limits.enter(connection.remoteAddress)
    if (broken === null) counted.add(connection.id)
    return broken
  }

  /** Counts a connection from its first octet, before it is a session; `leave` may be called more than once. */
  const enterHandshake: EnterHandshake = (socket, giveUp) => {
    const client = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
    const broken = limits.enter(client)
    if (broken !== null) {
      const reason = `too many connections ${broken === 'server' ? 'at once' : 'from this address'}`
      deps.log.event('submission.tls-failed', { client, reason })
      return null
    }
    const timer = deps.clock.after(HANDSHAKE_LIMIT_MS, giveUp, true)
    let isCounted = true
    const leave = (): void => {
      if (isCounted) limits.leave(client)
      isCounted = false
      timer.cancel()
    }
    socket.once('close', leave)
    return leave
  }

  const connections = function* (): Generator<SubmissionConnection> {
    for (const { server } of servers) {
      for (const connection of server.connections)
        if (connection instanceof SubmissionConnection) yield connection
    }
  }

  const every = (periodMs: number, action: () => void): void => {
    const slot = timers.length
    const tick = (): void => {
      action()
      timers[slot] = deps.clock.after(periodMs, tick, true)
    }
    timers.push(deps.clock.after(periodMs, tick, true))
  }

  /** Takes over certificates that were replaced on disk; running sessions keep theirs (S2). */
  const refreshCertificates = async (): Promise<void> => {
    const files = options.certificates.flatMap(({ chain, key }) => [chain, key])
    const text = (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n')
    if (text === certificateText) return
    const tls = await readTlsOptions(options.certificates)
    certificateText = text
    for (const { server } of servers) server.updateSecureContext(tls)
  }

  return {
    async start() {
      const tls = await readTlsOptions(options.certificates)
      for (const settings of options.listeners) {
        const server = new SubmissionServer(serverOptions(settings, tls, options), context, deps, {
          enter,
          enterHandshake,
        })
        servers.push({ server, settings })
      }
      const bound = await Promise.all(servers.map(({ server, settings }) => listen(server, settings)))
      every(DEADLINE_CHECK_MS, () => {
        const now = deps.clock.monotonic()
        for (const connection of connections()) connection.enforceDeadlines(now)
      })
      every(CERTIFICATE_CHECK_MS, () => {
        refreshCertificates().catch((error: unknown) => context.fault(error, 'certificates'))
      })
      return bound
    },
    async drain(limitMs) {
      draining = true
      const closed = Promise.all(servers.map(({ server }) => stopListening(server)))
      for (const { server } of servers) server.dropHandshakes()
      for (const connection of connections()) connection.shutDown(false)
      await new Promise<void>((resolve) => {
        const timer = deps.clock.after(limitMs, resolve)
        closed.then(() => {
          timer.cancel()
          resolve()
        }, resolve)
      })
    },
    async stop() {
      for (const timer of timers) timer.cancel()
      timers = []
      for (const { server } of servers) server.dropHandshakes()
      for (const connection of connections()) {
        connection.shutDown(true)
        connection._socket.destroy()
      }
      await Promise.all(servers.map(({ server }) => stopListening(server)))
    },
    get sessions() {
      return limits.sessions
    },
  }
}

function serverOptions(
  settings: ListenerSettings,
  tls: SecureContextOptions,
  options: SubmissionOptions,
): SMTPServerOptions {
  return {
    ...tls,
    name: options.hostname,
    secure: settings.encryption === 'implicit',
    authMethods: ['PLAIN', 'LOGIN'],
    disabledCommands: ['WIZ', 'SHELL', 'KILL', 'VRFY', 'HELP', 'XCLIENT', 'XFORWARD', 'BDAT'],
    hideENHANCEDSTATUSCODES: false,
    disableReverseLookup: true,
    // Deadlines are ours (`enforceDeadlines`); the library's idle timer is only the last net.
    socketTimeout: options.settings.commandTimeout + options.settings.dataTimeout,
    logger: false,
  }
}

/** Waits until the socket listens; a failure names address and port. `::` without IPv6 on this machine is all of IPv4. */
async function listen(server: SMTPServer, settings: ListenerSettings): Promise<BoundListener> {
  const { address, port, encryption } = settings
  try {
    return { ...(await openSocket(server, address, port)), encryption }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null
    if (address === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) {
      return listen(server, { ...settings, address: '0.0.0.0' })
    }
    const reason = `listeners: ${address} port ${port} cannot be opened: ${faultText(cause)}`
    throw new Fault('configuration', reason, { cause })
  }
}

function openSocket(
  server: SMTPServer,
  address: string,
  port: number,
): Promise<Pick<AddressInfo, 'address' | 'port'>> {
  return new Promise((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(port, address, () => {
      server.server.removeListener('error', reject)
      const bound = server.server.address()
      resolve(bound !== null && typeof bound === 'object' ? bound : { address, port })
    })
  })
}

const stopListening = (server: SMTPServer): Promise<void> =>
  new Promise((resolve) => {
    if (server.server.listening) server.server.close(() => resolve())
    else if (server.connections.size === 0) resolve()
    else server.server.once('close', () => resolve())
  })

/** Counts a new session, or says which limit keeps it out. */
type Enter = (connection: SubmissionConnection) => 'server' | 'client' | null
/** Counts a connection with its handshake ahead: what takes it back, or `null` when it must not be. */
type EnterHandshake = (socket: Socket, giveUp: () => void) => (() => void) | null

interface Gate {
  readonly enter: Enter
  readonly enterHandshake: EnterHandshake
}

/** smtp-server with our connection class, client limits and login. */
class SubmissionServer extends SMTPServer {
  readonly #context: ConnectionContext
  readonly #deps: SubmissionDeps
  readonly #gate: Gate
  readonly #bySession = new WeakMap<SubmissionConnection['session'], SubmissionConnection>()

  constructor(options: SMTPServerOptions, context: ConnectionContext, deps: SubmissionDeps, gate: Gate) {
    super(options)
    this.#context = context
    this.#deps = deps
    this.#gate = gate
    // Without a listener a failed handshake would end the process (libraries.md A).
    this.on('error', (error: Error & { remoteAddress?: string }) => {
      deps.log.event('submission.tls-failed', {
        client: error.remoteAddress ?? null,
        reason: faultText(error),
      })
    })
  }

  /** The library guards a handshake with its idle timer only; ours count, and have a deadline. */
  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    if (!handshake) return super._acceptSocket(socket, handshake)
    const leave = this.#gate.enterHandshake(socket, () => this._pendingSockets.get(socket)?.destroy())
    if (leave === null) {
      socket.on('error', () => undefined)
      socket.destroy()
      return false
    }
    const release = super._acceptSocket(socket, handshake)
    return () => {
      leave()
      if (release) release()
    }
  }

  /** Ends what has not become a session: nobody waits for it. The TLS socket goes, where there is one. */
  dropHandshakes(): void {
    for (const socket of this._pendingSockets.values()) socket.destroy()
  }

  override connect(
    socket: SubmissionConnection['_socket'],
    socketOptions?: ConstructorParameters<typeof SubmissionConnection>[2],
  ): void {
    const connection = new SubmissionConnection(this, socket, socketOptions ?? null, this.#context)
    const client = connection.remoteAddress
    const broken = this.#gate.enter(connection)
    this.connections.add(connection)
    this.#bySession.set(connection.session, connection)
    connection.on('error', (error) => {
      this.#deps.log.event('submission.tls-failed', {
        session: connection.id,
        client,
        reason: faultText(error),
      })
      connection._socket.destroy()
    })
    if (broken === null) this.#deps.log.event('submission.session-opened', { session: connection.id, client })
    if (broken !== null) {
      connection._ready = true
      socket.on('error', () => socket.destroy())
      const id: ReplyId = broken === 'server' ? 'server-busy' : 'too-many-connections'
      connection.refuse(cataloguedReply(id, { hostname: this.#context.hostname }), 'connect')
      return
    }
    connection.init()
  }

  override onAuth(
    auth: SMTPServerAuthentication,
    session: SubmissionConnection['session'],
    callback: Parameters<SMTPServer['onAuth']>[2],
  ): void {
    const connection = this.#bySession.get(session)
    const login = sanitiseText(auth.username ?? '', 200)
    this.#deps.login
      .verify(auth.username ?? '', auth.password ?? '')
      .then((result) => {
        if (connection === undefined) return callback(new Error('session is gone'))
        if (result.kind === 'ok') {
          const { identity } = result
          this.#deps.log.event('submission.login', {
            session: session.id,
            client: session.remoteAddress,
            login: identity.login,
            customer: identity.customer.name,
            mechanism: auth.method,
            ...connection.tlsFacts(),
          })
          return callback(null, { user: identity })
        }
        const reply = refusalFor(
          result,
          ++connection.loginFailures >= this.#context.settings.loginFailuresMax,
        )
        const reason = result.kind === 'busy' ? 'busy' : result.reason
        // People type passwords into the wrong field: only a name that exists is written down.
        const known = reason === 'wrong-password' ? login : null
        this.#deps.log.event('submission.login-refused', {
          session: session.id,
          client: session.remoteAddress,
          login: known,
          mechanism: auth.method,
          reason,
        })
        return callback(Object.assign(new Error(reply.lines[0]), { responseCode: reply.code }))
      })
      .catch((error: unknown) => {
        const reply = this.#context.fault(error, 'login')
        callback(Object.assign(new Error(reply.lines[0]), { responseCode: 454 }))
      })
  }
}

function refusalFor(result: { kind: 'refused' | 'busy' }, isLast: boolean): CataloguedReply {
  if (result.kind === 'busy') return cataloguedReply('auth-busy')
  return cataloguedReply(isLast ? 'auth-too-many' : 'auth-failed')
}
