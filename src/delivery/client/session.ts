// From a TCP connection to a session that can take mail: greeting, EHLO, STARTTLS, handshake, EHLO again.
// Whether cleartext is allowed is not decided here: without a permit in its hands this file has no way to
// open a cleartext channel. RFC 5321 §3.1–3.2, RFC 3207.
//
//   dial ─▶ greeting ─▶ EHLO ─▶ STARTTLS offered? ─▶ 220 ─▶ nothing injected? ─▶ handshake ─▶ judged ─▶ EHLO
//   Everything learnt before the handshake is forgotten after it (RFC 3207 §4.2).
//   With a permit: STARTTLS not offered or refused goes on in the clear on the same connection; after a
//   failed handshake the caller dials again with `skipTls`.
import type { AttemptPlace } from '../../queue/outcome.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CleartextPermit } from '../../smtp/cleartext-permit.ts'
import type { Domain } from '../../smtp/domain.ts'
import { type Reply, replyClass } from '../../smtp/reply.ts'
import type { TlsEvidence } from '../../smtp/tls-evidence.ts'
import type { Requirement } from '../security/requirement.ts'
import type { TlsProfile, TlsProfiles } from '../security/tls-profile.ts'
import { type Channel, openCleartext, TlsChannel } from './channel.ts'
import type { Dialler } from './dial.ts'
import { type Extensions, NO_EXTENSIONS, parseExtensions } from './extensions.ts'
import { type Trouble, Wire } from './wire.ts'

/** One address of one host. */
export interface Target {
  /** MX host name, or the address itself for a host that the operator fixed by address. */
  readonly host: string
  readonly address: string
  readonly port: number
}

/** An open session between two transactions. Whoever holds it owns its connection. */
export interface Session {
  readonly channel: Channel
  readonly extensions: Extensions
  readonly place: AttemptPlace
  /** Transactions so far. */
  transactions: number
}

export type Way =
  | { readonly tls: TlsProfile; readonly requirement: Requirement }
  /** No TLS is tried: a permit is needed. */
  | { readonly tls: 'skip'; readonly permit: CleartextPermit }

export type Opening =
  | { readonly kind: 'open'; readonly session: Session }
  /** This host gives no usable TLS. `injected` bars a second try in the clear: somebody is on the line. */
  | {
      readonly kind: 'no-tls'
      readonly reason: 'not-offered' | 'refused' | 'handshake' | 'injected'
      readonly reply: Reply | null
      readonly detail: string
      readonly mayBeHelloSize: boolean
    }
  | { readonly kind: 'not-authenticated'; readonly detail: string; readonly evidence: TlsEvidence }
  /** The host does not want to talk to us now. */
  | { readonly kind: 'refused'; readonly stage: 'greeting' | 'ehlo'; readonly reply: Reply }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }

export interface SessionDeps {
  readonly dialler: Dialler
  readonly profiles: TlsProfiles
  readonly clock: Clock
  /** The name we say in EHLO. */
  readonly hostname: Domain
}

export interface SessionTimeouts {
  readonly greeting: number
  readonly command: number
  readonly handshake: number
}

export async function openSession(
  deps: SessionDeps,
  target: Target,
  way: Way,
  timeouts: SessionTimeouts,
): Promise<Opening> {
  const dialled = await deps.dialler.dial(target.address, target.port)
  if (dialled.kind === 'trouble') return dialled
  const wire = new Wire(dialled.socket, deps.clock)
  const opening = await introduce(deps, wire, target, way, timeouts)
  if (opening.kind === 'open') return opening
  // Politely where there is still somebody to say it to; harmless when the wire is broken or handed over.
  wire.quit(QUIT_MS)
  return opening
}

const QUIT_MS = 2000

async function introduce(
  deps: SessionDeps,
  wire: Wire,
  target: Target,
  way: Way,
  timeouts: SessionTimeouts,
): Promise<Opening> {
  wire.arm(timeouts.greeting, 'greeting')
  const greeting = await wire.reply()
  if (greeting.kind === 'trouble') return greeting
  // RFC 5321 §4.2.3: 220 is the only greeting that invites.
  if (greeting.reply.code !== 220) return { kind: 'refused', stage: 'greeting', reply: greeting.reply }
  const hello = await sayHello(deps, wire, timeouts.command, true)
  if (hello.kind !== 'hello') return hello
  if (way.tls === 'skip') return opened(openCleartext(wire, way.permit), hello.extensions, target)

  const { permit } = way.requirement
  if (!hello.extensions.startTls) {
    if (permit !== null) return opened(openCleartext(wire, permit), hello.extensions, target)
    return noTls('not-offered', null, 'The host does not offer STARTTLS.')
  }
  wire.arm(timeouts.command, 'reply to STARTTLS')
  wire.send(STARTTLS)
  const answer = await wire.reply()
  if (answer.kind === 'trouble') return answer
  if (answer.reply.code !== 220) {
    const mayGoOn = permit !== null && answer.reply.code !== 421 && wire.isQuiet
    if (mayGoOn) return opened(openCleartext(wire, permit), hello.extensions, target)
    return noTls('refused', answer.reply, 'The host offers STARTTLS and then refuses it.')
  }
  const socket = wire.detach()
  if (socket === null) return noTls('injected', null, wire.trouble?.detail ?? '')
  const { profiles, clock } = deps
  const handshake = await TlsChannel.handshake(socket, {
    host: target.host,
    requirement: way.requirement,
    profile: way.tls,
    profiles,
    clock,
    limitMs: timeouts.handshake,
  })
  if (handshake.kind === 'failed') {
    return { ...noTls('handshake', null, handshake.detail), mayBeHelloSize: handshake.mayBeHelloSize }
  }
  if (handshake.kind === 'insufficient') return { ...handshake, kind: 'not-authenticated' }
  return helloUnderTls(deps, handshake.channel, target, timeouts)
}

const STARTTLS = Buffer.from('STARTTLS\r\n')

async function helloUnderTls(
  deps: SessionDeps,
  channel: TlsChannel,
  target: Target,
  timeouts: SessionTimeouts,
): Promise<Opening> {
  const hello = await sayHello(deps, channel.wire, timeouts.command, false)
  if (hello.kind === 'hello') return opened(channel, hello.extensions, target)
  channel.wire.quit(QUIT_MS)
  return hello
}

type Hello = { readonly kind: 'hello'; readonly extensions: Extensions } | Opening

/** EHLO; HELO for hosts that know only that (they offer nothing then, STARTTLS included). */
async function sayHello(
  deps: SessionDeps,
  wire: Wire,
  limitMs: number,
  mayFallBack: boolean,
): Promise<Hello> {
  wire.arm(limitMs, 'reply to EHLO')
  wire.send(Buffer.from(`EHLO ${deps.hostname}\r\n`))
  const answer = await wire.reply()
  if (answer.kind === 'trouble') return answer
  if (replyClass(answer.reply) === 'success') {
    wire.disarm()
    return { kind: 'hello', extensions: parseExtensions(answer.reply) }
  }
  if (!mayFallBack || replyClass(answer.reply) !== 'permanent') {
    return { kind: 'refused', stage: 'ehlo', reply: answer.reply }
  }
  wire.send(Buffer.from(`HELO ${deps.hostname}\r\n`))
  const plain = await wire.reply()
  if (plain.kind === 'trouble') return plain
  if (replyClass(plain.reply) !== 'success') return { kind: 'refused', stage: 'ehlo', reply: plain.reply }
  wire.disarm()
  return { kind: 'hello', extensions: NO_EXTENSIONS }
}

function opened(channel: Channel, extensions: Extensions, target: Target): Opening {
  const place = { mxHost: target.host, address: target.address, port: target.port }
  return { kind: 'open', session: { channel, extensions, place, transactions: 0 } }
}

const noTls = (
  reason: 'not-offered' | 'refused' | 'handshake' | 'injected',
  reply: Reply | null,
  detail: string,
): Extract<Opening, { kind: 'no-tls' }> => ({ kind: 'no-tls', reason, reply, detail, mayBeHelloSize: false })

/** Ends a session: QUIT, then hang up. */
export const closeSession = (session: Session): void => session.channel.wire.quit(QUIT_MS)
