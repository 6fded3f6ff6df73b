// Checks a login against the store (product rows S3, S7): is it this password, and whose is it?
//
// Each check reads the credential afresh (some 50 µs), so a removed login or changed licence counts at once.
// Then: 1. a keyed cache of verified logins answers without hashing. Its key is an HMAC, under a key of this
// process, of login, password and the stored hash: it says nothing to whoever reads memory, and a changed
// password (another stored hash) makes every older entry unreachable. 2. Equal checks that are under way
// share one hash: twenty connections of one device cost one. 3. Otherwise the password is hashed, a few at a
// time; a full waiting line is `busy`, never a guess. A login that does not exist runs the same path against
// a hash that nothing matches, so that time and order of events tell nothing. Wrong passwords are not cached.
//
// Counting failures and locking logins is S7's own station (issue 5), not done here.
import { createHmac } from 'node:crypto'
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { withDeadline } from '../runtime/deadline.ts'
import { createSemaphore } from '../runtime/limit.ts'
import type { Random } from '../runtime/random.ts'
import type { Identity } from './account.ts'
import { unmatchableHash, verifyPassword } from './password.ts'
import type { AccountSettings } from './settings.ts'
import type { AccountStore } from './store.ts'

/** `reason` is for the log only: both refusals get the same reply. `busy`: try again, nothing was decided. */
export type LoginResult =
  | { readonly kind: 'ok'; readonly identity: Identity }
  | { readonly kind: 'refused'; readonly reason: 'unknown' | 'wrong-password' }
  | { readonly kind: 'busy' }

export interface LoginCheck {
  /** Rejects with a `Fault` when the store does not answer. */
  verify(login: string, password: string): Promise<LoginResult>
}

interface Dependencies {
  readonly store: Pick<AccountStore, 'findCredential'>
  readonly clock: Clock
  readonly random: Random
}

const STORE_ANSWER_WITHIN_MS = 10_000
const LOGIN_CHARACTERS_MAX = 255

/** The form in which logins are stored and compared. */
export const foldLogin = (login: string): string => login.trim().toLowerCase()

export function createLoginCheck(
  { store, clock, random }: Dependencies,
  settings: AccountSettings,
): LoginCheck {
  const key = random.bytes(32)
  const nobody = unmatchableHash(random)
  const verified = new BoundedMap<string, true>(clock, settings.loginCacheEntriesMax)
  const underWay = new Map<string, Promise<boolean | 'busy'>>()
  const hashing = createSemaphore(settings.loginsInParallel, settings.loginsWaitingMax)

  const fingerprint = (login: string, password: string, passwordHash: string): string => {
    const mac = createHmac('sha256', key)
    for (const part of [login, passwordHash, password]) mac.update(`${Buffer.byteLength(part)}:`).update(part)
    return mac.digest('base64')
  }

  const hash = async (password: string, passwordHash: string): Promise<boolean | 'busy'> => {
    const release = await hashing.acquire()
    if (release === null) return 'busy'
    try {
      return await verifyPassword(password, passwordHash)
    } finally {
      release()
    }
  }

  const matches = async (
    login: string,
    password: string,
    passwordHash: string,
  ): Promise<boolean | 'busy'> => {
    const print = fingerprint(login, password, passwordHash)
    if (verified.get(print)) {
      verified.set(print, true, settings.loginCacheFor)
      return true
    }
    const running = underWay.get(print) ?? hash(password, passwordHash)
    underWay.set(print, running)
    try {
      const result = await running
      if (result === true && settings.loginCacheFor > 0) verified.set(print, true, settings.loginCacheFor)
      return result
    } finally {
      underWay.delete(print)
    }
  }

  return {
    async verify(givenLogin, password) {
      const login = foldLogin(givenLogin)
      const isPossible = login.length > 0 && login.length <= LOGIN_CHARACTERS_MAX
      const found = isPossible
        ? await withDeadline(clock, STORE_ANSWER_WITHIN_MS, 'looking up a login', store.findCredential(login))
        : null
      const result = await matches(login, password, found?.credential.passwordHash ?? nobody)
      if (result === 'busy') return { kind: 'busy' }
      if (found === null) return { kind: 'refused', reason: 'unknown' }
      if (!result) return { kind: 'refused', reason: 'wrong-password' }
      return { kind: 'ok', identity: { login: found.credential.login, customer: found.customer } }
    },
  }
}
