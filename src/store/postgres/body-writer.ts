// Receives one body. Small ones stay in memory until `enqueue` takes them into its transaction; larger ones
// stream into rows of `chunk`, sealed on their way, while the client still sends. These rows are committed
// without waiting for the disk or a standby: the commit of the message, later in the same log, vouches for them
// (and counts them: a server that lost some in a crash or fail-over refuses the message). Until then a row of
// `upload` names them and the run that writes them; with the end of that run they are orphans.
import type { StoredBody } from '../../queue/message.ts'
import type { BodyWriter } from '../../queue/store.ts'
import type { BodyPipe, MessageKey, Vault } from '../../queue/vault.ts'
import { Fault } from '../../runtime/fault.ts'
import type { Random } from '../../runtime/random.ts'
import type { BodyMemory } from '../body-memory.ts'
import type { Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'

/** Bodies up to this many octets travel with their message. */
const INLINE_OCTETS_MAX = 256 * 1024
export const CHUNK_OCTETS = 256 * 1024
/** Octets on the way to the database beyond which the sender must wait. */
const PENDING_OCTETS_MAX = 1024 * 1024

/** A body in `chunk` that no message names yet. */
export interface Upload {
  readonly key: MessageKey
  readonly chunks: number
}

export interface BodyWriterDeps {
  readonly pool: Pool
  readonly memory: BodyMemory
  readonly vault: Vault
  readonly random: Random
  /** The current run; throws when there is none. */
  readonly owner: () => number
  /** Finished uploads by `body_id`; `enqueue` takes them out. */
  readonly uploads: Map<string, Upload>
  /** Removes what an upload has written, in the background. Never throws. */
  readonly discard: (bodyId: string) => void
}

const FIRST_CHUNK: Statement = {
  name: 'upload-begin',
  text: `WITH begun AS (INSERT INTO upload (body_id, owner) VALUES ($1::text, $4::bigint) RETURNING body_id)
    INSERT INTO chunk (body_id, n, octets) SELECT body_id, $2::integer, $3::bytea FROM begun`,
}
/** Nothing is added to what was swept away. */
const NEXT_CHUNK: Statement = {
  name: 'upload-chunk',
  text: `WITH open AS (SELECT body_id FROM upload WHERE body_id = $1::text AND owner = $4::bigint FOR KEY SHARE)
    INSERT INTO chunk (body_id, n, octets) SELECT body_id, $2::integer, $3::bytea FROM open`,
}
/** Touches nothing once a message has taken the body over. */
export const DISCARD: Statement = {
  name: 'upload-discard',
  text: `WITH gone AS (DELETE FROM upload WHERE body_id = $1::text RETURNING body_id)
    DELETE FROM chunk USING gone WHERE chunk.body_id = gone.body_id`,
}

/** One body at a time for `messageId`. */
export const createBodyWriter = (deps: BodyWriterDeps, messageId: string): BodyWriter =>
  new StreamedBody(deps, messageId)

/** The chunks as one buffer of exactly their size: slabs that they were cut from are not held on to. */
function compact(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const only = chunks.length === 1 ? chunks[0] : undefined
  if (only !== undefined && only.buffer.byteLength < sizeBytes * 2) return only
  const whole = Buffer.allocUnsafeSlow(sizeBytes)
  let position = 0
  for (const chunk of chunks) {
    whole.set(chunk, position)
    position += chunk.length
  }
  return whole
}

class StreamedBody implements BodyWriter {
  readonly #deps: BodyWriterDeps
  readonly #id: string
  /** All octets so far while they are kept in memory, `null` once they are not. */
  #kept: Uint8Array[] | null = []
  #sizeBytes = 0
  #rows: BodyRows | null = null
  /** By `finish` or `abort`: from then on the body is the queue's, or nobody's. */
  #ended = false

  constructor(deps: BodyWriterDeps, messageId: string) {
    this.#deps = deps
    this.#id = messageId
  }

  write(chunk: Uint8Array): Promise<void> | null {
    if (this.#ended) return null
    this.#sizeBytes += chunk.length
    this.#kept?.push(chunk)
    if (this.#rows !== null) {
      this.#keepWithinBudget(chunk.length)
      return this.#rows.write([chunk])
    }
    if (this.#sizeBytes <= INLINE_OCTETS_MAX) return null
    const held = this.#kept ?? []
    this.#rows = new BodyRows(this.#deps, this.#id)
    const wait = this.#rows.write(held)
    this.#keepWithinBudget(this.#sizeBytes)
    return wait
  }

  #keepWithinBudget(octets: number): void {
    if (this.#kept !== null && !this.#deps.memory.grow(this.#id, octets)) this.#kept = null
  }

  async finish(): Promise<StoredBody> {
    if (this.#ended) throw new Fault('internal', 'a body was finished twice, or after it was given up')
    if (this.#rows === null) {
      this.#ended = true
      const whole = compact(this.#kept ?? [], this.#sizeBytes)
      return { sizeBytes: this.#sizeBytes, inMemory: [whole], location: 'inline' }
    }
    try {
      await this.#rows.finish()
    } catch (error) {
      this.abort()
      throw error
    }
    this.#ended = true
    return { sizeBytes: this.#sizeBytes, inMemory: this.#kept, location: this.#rows.bodyId }
  }

  abort(): void {
    if (this.#ended) return
    this.#ended = true
    this.#kept = null
    this.#deps.memory.drop(this.#id)
    this.#rows?.discard()
  }
}

/** The rows of one large body: written in the background, in order. */
class BodyRows {
  readonly bodyId: string
  readonly #deps: BodyWriterDeps
  readonly #key: MessageKey
  readonly #seal: BodyPipe
  #pending: Uint8Array[] = []
  #pendingOctets = 0
  #rows = 0
  #complete = false
  #running: Promise<void> | null = null
  #fault: Fault | null = null
  #discarded = false

  constructor(deps: BodyWriterDeps, messageId: string) {
    this.#deps = deps
    this.bodyId = `${messageId}.${deps.random.bytes(6).toString('hex')}`
    this.#key = deps.vault.createKey(messageId)
    this.#seal = this.#key.sealBody()
  }

  write(chunks: readonly Uint8Array[]): Promise<void> | null {
    if (this.#fault !== null || this.#discarded) return null
    this.#append(chunks.flatMap((chunk) => this.#seal.write(chunk)))
    return this.#pendingOctets > PENDING_OCTETS_MAX ? this.#running : null
  }

  #append(sealed: readonly Uint8Array[]): void {
    for (const part of sealed) {
      this.#pending.push(part)
      this.#pendingOctets += part.length
    }
    if (this.#isRowReady()) this.#running ??= this.#drain()
  }

  #isRowReady(): boolean {
    return this.#pendingOctets >= CHUNK_OCTETS || (this.#complete && this.#pendingOctets > 0)
  }

  /** Writes while a row can be filled. Never rejects: the fault is kept for `finish`. */
  async #drain(): Promise<void> {
    try {
      const owner = this.#deps.owner()
      while (this.#isRowReady() && !this.#discarded) {
        const octets = this.#takeRow()
        const statement = this.#rows === 0 ? FIRST_CHUNK : NEXT_CHUNK
        const values = [this.bodyId, this.#rows, octets, owner]
        const { count } = await this.#deps.pool.run((connection) => connection.query(statement, values))
        if (count !== 1) throw new Fault('store-unavailable', 'a body was taken for abandoned')
        this.#rows++
        this.#pendingOctets -= octets.length
      }
    } catch (error) {
      this.#fault = faultOf(error)
      this.#pending = []
      this.#pendingOctets = 0
    } finally {
      this.#running = null
    }
  }

  /** The next row's octets, cut at the front of what is pending. */
  #takeRow(): Buffer {
    const taken: Uint8Array[] = []
    let octets = 0
    while (octets < CHUNK_OCTETS) {
      const part = this.#pending.shift()
      if (part === undefined) break
      const room = CHUNK_OCTETS - octets
      taken.push(part.subarray(0, room))
      octets += Math.min(room, part.length)
      if (part.length > room) this.#pending.unshift(part.subarray(room))
    }
    return Buffer.concat(taken, octets)
  }

  async finish(): Promise<void> {
    if (this.#fault === null) {
      this.#complete = true
      this.#append(this.#seal.end())
      if (this.#isRowReady()) this.#running ??= this.#drain()
    }
    while (this.#running !== null) await this.#running
    if (this.#fault !== null) throw this.#fault
    this.#deps.uploads.set(this.bodyId, { key: this.#key, chunks: this.#rows })
  }

  discard(): void {
    if (this.#discarded) return
    this.#discarded = true
    this.#pending = []
    const remove = async (): Promise<void> => {
      await this.#running
      this.#deps.discard(this.bodyId)
    }
    remove().catch(() => {}) // nothing in it rejects
  }
}
