// A body under its message key, in chunks, so that neither side ever holds all of it. Chunk n is sealed with
// nonce n and proves the message, n, and whether it is the last: chunks cannot be left out, put in another
// order, cut off at the end or moved to another message. Each is 256 KB of content and a tag of 16 octets; the
// last one may be shorter, and is there even when it is empty. Nothing comes out before its tag was checked.
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { Fault } from '../runtime/fault.ts'
import type { BodyPipe } from './vault.ts'

const ALGORITHM = 'aes-256-gcm'
const CHUNK_OCTETS = 256 * 1024
const TAG_OCTETS = 16
const CHUNKS_MAX = 2 ** 32

/** Seals one body under `key` (it seals no other body). */
export function sealBodyPipe(messageId: string, key: KeyObject): BodyPipe {
  const waiting = new Octets()
  let number = 0
  const seal = (octets: number, isLast: boolean): Uint8Array[] => {
    const cipher = createCipheriv(ALGORITHM, key, nonceOf(number)).setAAD(proofOf(messageId, number, isLast))
    number++
    const sealed: Uint8Array[] = waiting.take(octets).map((part) => cipher.update(part))
    cipher.final()
    sealed.push(cipher.getAuthTag())
    return sealed
  }
  return {
    write(chunk) {
      waiting.add(chunk)
      const sealed: Uint8Array[] = []
      // The last chunk is known as such only at the end: one that is full waits for the first octet after it.
      while (waiting.length > CHUNK_OCTETS) sealed.push(...seal(CHUNK_OCTETS, false))
      return sealed
    },
    end: () => seal(waiting.length, true),
  }
}

/** Opens what `sealBodyPipe` made. Throws `spool-unreadable` when it is not that, whole and in order. */
export function openBodyPipe(messageId: string, key: KeyObject): BodyPipe {
  const waiting = new Octets()
  let number = 0
  const open = (octets: number, isLast: boolean): Uint8Array[] => {
    if (octets < TAG_OCTETS) throw damaged()
    const sealed = Buffer.concat(waiting.take(octets))
    const decipher = createDecipheriv(ALGORITHM, key, nonceOf(number), { authTagLength: TAG_OCTETS })
      .setAAD(proofOf(messageId, number, isLast))
      .setAuthTag(sealed.subarray(octets - TAG_OCTETS))
    number++
    const plain = decipher.update(sealed.subarray(0, octets - TAG_OCTETS))
    try {
      decipher.final()
    } catch {
      throw damaged()
    }
    return plain.length === 0 ? [] : [plain]
  }
  return {
    write(chunk) {
      waiting.add(chunk)
      const plain: Uint8Array[] = []
      while (waiting.length > CHUNK_OCTETS + TAG_OCTETS) plain.push(...open(CHUNK_OCTETS + TAG_OCTETS, false))
      return plain
    },
    end: () => open(waiting.length, true),
  }
}

const damaged = (): Fault => new Fault('spool-unreadable', 'a body was changed or cut short')

/** 96 bits, the first one clear: nonces of small things have it set (`sealing.ts`). */
function nonceOf(number: number): Buffer {
  if (number >= CHUNKS_MAX) throw new Fault('internal', 'a body has too many chunks')
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(number, 8)
  return nonce
}

const proofOf = (messageId: string, number: number, isLast: boolean): Buffer =>
  Buffer.from(`${messageId}\nbody ${number} ${isLast ? 'last' : 'more'}`)

/** Octets that wait, taken from the front in any portion, without copying. */
class Octets {
  #parts: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  add(part: Uint8Array): void {
    if (part.length === 0) return
    this.#parts.push(part)
    this.#length += part.length
  }

  /** The first `octets`, which must be there. */
  take(octets: number): Uint8Array[] {
    const taken: Uint8Array[] = []
    let missing = octets
    let whole = 0
    for (const part of this.#parts) {
      if (part.length > missing) break
      taken.push(part)
      missing -= part.length
      whole++
    }
    const cut = this.#parts[whole]
    this.#parts = this.#parts.slice(whole)
    if (missing > 0 && cut !== undefined) {
      taken.push(cut.subarray(0, missing))
      this.#parts[0] = cut.subarray(missing)
    }
    this.#length -= octets
    return taken
  }
}
