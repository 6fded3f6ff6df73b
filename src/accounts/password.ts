// Passwords as memory-hard hashes (product row S3): scrypt, RFC 7914, in a self-describing string
// `scrypt$N$r$p$salt$hash` (salt and hash base64url), so that costs can grow while old hashes still verify.
// Hashing runs on libuv's thread pool, never on the event loop; how many at once is the caller's matter
// (`login.ts`). Nothing here logs, and no error carries a password.
import { scrypt, timingSafeEqual } from 'node:crypto'
import type { Random } from '../runtime/random.ts'

/** What a hash costs: `N` (a power of two) × `r` × 128 octets of memory, `p` times one after the other. */
export interface PasswordCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** 32 MB, three passes: the second row of OWASP's equivalents, chosen because memory is shared with TLS. */
export const PASSWORD_COST: PasswordCost = { N: 2 ** 15, r: 8, p: 3 }

const SALT_OCTETS = 16
const HASH_OCTETS = 32
const MEMORY_OCTETS_MAX = 256 * 1024 * 1024
/** Longer passwords never verify: the bound on what a client can make us hash. */
export const PASSWORD_OCTETS_MAX = 1024

/** A hash for storage. `cost` is for tests; production takes the default. */
export async function hashPassword(
  password: string,
  random: Random,
  cost: PasswordCost = PASSWORD_COST,
): Promise<string> {
  const salt = random.bytes(SALT_OCTETS)
  const hash = await derive(password, salt, cost, HASH_OCTETS)
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), hash.toString('base64url')].join('$')
}

/** Compares in constant time. `false` also for a stored text that is no hash of ours. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const parsed = parseHash(stored)
  if (parsed === null || Buffer.byteLength(password) > PASSWORD_OCTETS_MAX) return false
  const hash = await derive(password, parsed.salt, parsed.cost, parsed.hash.length)
  return timingSafeEqual(hash, parsed.hash)
}

/**
 * A well-formed hash that no password matches, at the price of a real one: what a login that does not exist
 * is checked against, so that it takes as long as one that does (S7).
 */
export function unmatchableHash(random: Random, cost: PasswordCost = PASSWORD_COST): string {
  const part = (octets: number): string => random.bytes(octets).toString('base64url')
  return ['scrypt', cost.N, cost.r, cost.p, part(SALT_OCTETS), part(HASH_OCTETS)].join('$')
}

/** What verifying `stored` costs; `null` when it is no hash of ours, or one that would eat the machine. */
export const costOf = (stored: string): PasswordCost | null => parseHash(stored)?.cost ?? null

interface ParsedHash {
  readonly cost: PasswordCost
  readonly salt: Buffer
  readonly hash: Buffer
}

function parseHash(text: string): ParsedHash | null {
  const match = /^scrypt\$([0-9]{1,8})\$([0-9]{1,3})\$([0-9]{1,3})\$([\w-]{11,86})\$([\w-]{22,86})$/.exec(
    text,
  )
  if (match === null) return null
  const cost = { N: Number(match[1]), r: Number(match[2]), p: Number(match[3]) }
  const isPowerOfTwo = cost.N > 1 && Number.isInteger(Math.log2(cost.N))
  if (!isPowerOfTwo || cost.r < 1 || cost.p < 1 || memoryOctets(cost) > MEMORY_OCTETS_MAX) return null
  return {
    cost,
    salt: Buffer.from(match[4] ?? '', 'base64url'),
    hash: Buffer.from(match[5] ?? '', 'base64url'),
  }
}

const memoryOctets = (cost: PasswordCost): number => 128 * cost.r * (cost.N + cost.p)

/** Unicode in one spelling (RFC 8265 §4.2.2: NFC), so that `ü` typed on any system is the same `ü`. */
function derive(password: string, salt: Buffer, cost: PasswordCost, octets: number): Promise<Buffer> {
  const maxmem = memoryOctets(cost) + 1024 * 1024
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, octets, { ...cost, maxmem }, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    )
  })
}
