// The two ways on which a message may travel. A `TlsChannel` is made only by a handshake that fulfils the
// requirement, a `CleartextChannel` only from a cleartext permit; the transaction takes nothing else. So a
// hand-over in the clear without a permit does not type-check (both constructors are private, both classes
// carry private fields).
import { isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Clock } from '../../runtime/clock.ts'
import type { CleartextPermit } from '../../smtp/cleartext-permit.ts'
import type { CleartextEvidence, TlsEvidence } from '../../smtp/tls-evidence.ts'
import { type HandshakeFacts, judgeHandshake } from '../security/judgement.ts'
import type { Requirement } from '../security/requirement.ts'
import type { PeerIdentity, TlsProfile, TlsProfiles } from '../security/tls-profile.ts'
import { Wire } from './wire.ts'

export type Channel = TlsChannel | CleartextChannel

/** A channel under TLS that fulfils the requirement it was opened for. */
export class TlsChannel {
  readonly kind = 'tls'
  readonly evidence: TlsEvidence
  readonly #wire: Wire
  private constructor(wire: Wire, evidence: TlsEvidence) {
    this.#wire = wire
    this.evidence = evidence
  }
  get wire(): Wire {
    return this.#wire
  }

  /** Shakes hands on `socket`, which this function owns from now on, and judges the result. */
  static async handshake(socket: Socket, options: HandshakeOptions): Promise<Handshake> {
    const shaken = await shakeHands(socket, options)
    if (shaken.kind === 'failed') return shaken
    const judgement = judgeHandshake(options.requirement, shaken.facts)
    if (judgement.kind === 'fulfilled') {
      const wire = new Wire(shaken.socket, options.clock)
      return { kind: 'channel', channel: new TlsChannel(wire, judgement.evidence) }
    }
    shaken.socket.destroy()
    const { reason, evidence } = judgement
    if (evidence === null)
      return { kind: 'failed', detail: `TLS is too weak: ${reason}.`, mayBeHelloSize: false }
    return { kind: 'insufficient', detail: `The host is not authenticated: ${reason}.`, evidence }
  }
}

/** A channel in the clear, with the permit that allows it. */
export class CleartextChannel {
  readonly kind = 'cleartext'
  readonly evidence: CleartextEvidence
  readonly #wire: Wire
  private constructor(wire: Wire, permit: CleartextPermit) {
    this.#wire = wire
    this.evidence = { kind: 'cleartext', permitSource: permit.source }
  }
  get wire(): Wire {
    return this.#wire
  }

  static open(wire: Wire, permit: CleartextPermit): CleartextChannel {
    return new CleartextChannel(wire, permit)
  }
}

/** The only way to a cleartext channel: ask with a permit in hand. */
export const openCleartext = (wire: Wire, permit: CleartextPermit): CleartextChannel =>
  CleartextChannel.open(wire, permit)

export interface HandshakeOptions {
  /** MX host name (SNI and name check) or IP address (name check only). */
  readonly host: string
  readonly requirement: Requirement
  readonly profile: TlsProfile
  readonly profiles: TlsProfiles
  readonly clock: Clock
  readonly limitMs: number
}

export type Handshake =
  | { readonly kind: 'channel'; readonly channel: TlsChannel }
  /** No usable TLS. `mayBeHelloSize`: the peer vanished as those do that choke on a large ClientHello. */
  | { readonly kind: 'failed'; readonly detail: string; readonly mayBeHelloSize: boolean }
  /** TLS, but the host is not who the requirement wants it to be. */
  | { readonly kind: 'insufficient'; readonly detail: string; readonly evidence: TlsEvidence }

type Shaken =
  | { readonly kind: 'done'; readonly socket: TLSSocket; readonly facts: HandshakeFacts }
  | Extract<Handshake, { kind: 'failed' }>

function shakeHands(socket: Socket, options: HandshakeOptions): Promise<Shaken> {
  const { host, profile, profiles, clock, limitMs } = options
  const session = profiles.session(host, profile)
  return new Promise((resolve) => {
    const tls = connectTls({
      socket,
      secureContext: profiles.context(profile),
      // The certificate is judged by us, with the requirement at hand; Node would check the name only after
      // the chain, and not at all when a session is resumed.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(session === undefined ? {} : { session: session.ticket }),
    })
    const settle = (result: Shaken): void => {
      timer.cancel()
      tls.off('secureConnect', onSecure)
      tls.off('close', onClose)
      if (result.kind === 'failed') {
        profiles.forget(host, profile)
        tls.destroy()
      }
      resolve(result)
    }
    // Tickets come after the handshake in TLS 1.3, within it in TLS 1.2.
    let identity: PeerIdentity | null = null
    let early: Buffer | null = null
    const onSecure = (): void => {
      identity = (tls.isSessionReused() ? session?.identity : undefined) ?? identityOf(tls, host)
      if (early !== null) profiles.remember(host, profile, { ticket: early, identity })
      settle({ kind: 'done', socket: tls, facts: factsOf(tls, identity) })
    }
    const onClose = (): void => settle(vanished('The peer closed the connection during the TLS handshake.'))
    const timer = clock.after(limitMs, () =>
      settle(vanished(`The TLS handshake took longer than ${Math.round(limitMs / 1000)} s.`)),
    )
    tls.once('secureConnect', onSecure)
    tls.once('close', onClose)
    // Stays for the whole life of the socket; after the handshake the wire listens as well.
    tls.on('error', (error) => settle(handshakeError(error)))
    tls.on('session', (ticket) => {
      if (identity === null) early = ticket
      else profiles.remember(host, profile, { ticket, identity })
    })
  })
}

const vanished = (detail: string): Shaken => ({ kind: 'failed', detail, mayBeHelloSize: true })

function handshakeError(error: Error): Shaken {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return vanished('The peer reset the connection during the TLS handshake.')
  }
  const words = /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code)
    ? 'The peer offers no TLS version from 1.2 on'
    : 'The TLS handshake failed'
  return { kind: 'failed', detail: `${words} (${code.slice(0, 80)}).`, mayBeHelloSize: false }
}

/** From the certificate just shown; asked once, because Node 24.21 gives it away only once. */
function identityOf(socket: TLSSocket, host: string): PeerIdentity {
  const certificate = socket.getPeerX509Certificate()
  const named = isIP(host) === 0 ? certificate?.checkHost(host, NAMES_ONLY) : certificate?.checkIP(host)
  return {
    certificateSha256: certificate?.fingerprint256.replaceAll(':', '').toLowerCase() ?? '',
    // With a name check of ours in place of Node's, `authorized` says that the chain was verified.
    chainTrusted: socket.authorized && certificate !== undefined,
    nameMatches: named !== undefined,
  }
}

function factsOf(socket: TLSSocket, identity: PeerIdentity): HandshakeFacts {
  const ephemeral = socket.getEphemeralKeyInfo()
  const group = ephemeral !== null && 'name' in ephemeral ? ephemeral.name : undefined
  return {
    ...identity,
    protocol: socket.getProtocol() ?? 'no TLS',
    cipher: socket.getCipher().standardName,
    group: typeof group === 'string' ? group : null,
    resumed: socket.isSessionReused(),
  }
}

/** Subject alternative names only, never the common name. RFC 9525 §6.3. */
const NAMES_ONLY = { subject: 'never', partialWildcards: false } as const
