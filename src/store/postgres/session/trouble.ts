// What an error of PostgreSQL, or of the way to it, means for the gateway.
import { Fault, type FaultCode, faultText } from '../../../runtime/fault.ts'

/**
 * - `request`: this request was wrong (a constraint, a bug); its neighbours are not concerned. Nothing was stored.
 * - `again`: two transactions met; the same one again will do. Nothing was stored.
 * - `busy`: a lock or a resource of the server; later it may work. Nothing was stored.
 * - `full`: the server has no space. Nothing was stored.
 * - `away`: the connection is gone or cannot be trusted. Unknown whether a commit under way was carried out.
 */
export type TroubleKind = 'request' | 'again' | 'busy' | 'full' | 'away'

/** Thrown by a connection. `text` is safe for a log: no values. */
export class DatabaseTrouble extends Error {
  readonly kind: TroubleKind
  /** SQLSTATE, or empty. */
  readonly state: string
  constructor(kind: TroubleKind, text: string, state = '', cause?: unknown) {
    super(text, { cause })
    this.name = 'DatabaseTrouble'
    this.kind = kind
    this.state = state
  }
}

const AGAIN = ['40001', '40P01']
/** 42704: `REQUIRE_STANDBY` of standby.ts. */
const BUSY = ['55P03', '57014', '53200', '53400', '42704']

/** Sorts what `pg` rejected with. https://www.postgresql.org/docs/15/errcodes-appendix.html */
export function troubleOf(thrown: unknown): DatabaseTrouble {
  if (thrown instanceof DatabaseTrouble) return thrown
  const state = stateOf(thrown)
  // The server's own sentence, never its DETAIL line: that one quotes values.
  const words = state === '' ? faultText(thrown) : `${faultText(thrown)} (SQLSTATE ${state})`
  return new DatabaseTrouble(kindOf(state), words, state, thrown)
}

function stateOf(thrown: unknown): string {
  if (!(thrown instanceof Error) || !('code' in thrown)) return ''
  const { code } = thrown
  // Five characters with a digit: `ECONNREFUSED` and the like are not SQLSTATEs.
  return typeof code === 'string' && /^(?=.*[0-9])[0-9A-Z]{5}$/.test(code) ? code : ''
}

function kindOf(state: string): TroubleKind {
  if (AGAIN.includes(state)) return 'again'
  if (BUSY.includes(state)) return 'busy'
  if (state === '53100') return 'full'
  // No answer of a server; connection exceptions; it shuts down, starts up or takes no more; read-only by now.
  if (state === '' || /^(?:08|57P|53|58|XX|25006|28|3D)/.test(state)) return 'away'
  return 'request'
}

const CODES: Readonly<Record<TroubleKind, FaultCode>> = {
  request: 'internal',
  again: 'store-unavailable',
  busy: 'store-unavailable',
  full: 'store-full',
  away: 'store-unavailable',
}

/** The same for the callers of the store. */
export function faultOf(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown
  const trouble = troubleOf(thrown)
  return new Fault(CODES[trouble.kind], trouble.message, { cause: thrown })
}
