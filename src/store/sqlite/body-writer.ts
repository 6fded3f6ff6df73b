// Receives one body. Small ones stay in memory until `enqueue` takes them into the database; from
// INLINE_OCTETS_MAX on the octets stream into a file of their own, which is on stable storage (file and
// folder) when `finish` resolves. The row that names the file is written after it, never before. What goes to the
// file is sealed on its way; what stays in memory is clear.
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { StoredBody } from '../../queue/message.ts'
import type { BodyWriter } from '../../queue/store.ts'
import type { BodyPipe, MessageKey, Vault } from '../../queue/vault.ts'
import { Fault } from '../../runtime/fault.ts'
import type { BodyMemory } from '../body-memory.ts'
import { bodyPath, INLINE_OCTETS_MAX, spoolPath } from './layout.ts'

/** Octets on the way to the file beyond which the sender must wait. */
const PENDING_OCTETS_MAX = 1024 * 1024
/** Buffers given to the kernel at once. */
const WRITEV_MAX = 256

export interface BodyWriterDeps {
  readonly dataDirectory: string
  readonly memory: BodyMemory
  readonly vault: Vault
  /** Keys of bodies with a file that no row names yet: the sweep leaves them alone. `enqueue` takes them out. */
  readonly open: Map<string, MessageKey>
  /** Tells of a file fault and makes the `Fault` for the caller. */
  readonly fileFault: (error: unknown) => Fault
}

/** One body at a time for `messageId`. */
export const createBodyWriter = (deps: BodyWriterDeps, messageId: string): BodyWriter =>
  new SpooledBody(deps, messageId)

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

class SpooledBody implements BodyWriter {
  readonly #deps: BodyWriterDeps
  readonly #id: string
  /** Octets that came since the last slab. */
  #loose: Uint8Array[] = []
  #looseOctets = 0
  /** Slabs so far while they are kept in memory, `null` once they are not. */
  #kept: Uint8Array[] | null = []
  #sizeBytes = 0
  #file: BodyFile | null = null
  /** By `finish` or `abort`: from then on the body is the queue's, or nobody's. */
  #ended = false

  constructor(deps: BodyWriterDeps, messageId: string) {
    this.#deps = deps
    this.#id = messageId
  }

  write(chunk: Uint8Array): Promise<void> | null {
    if (this.#ended) return null
    this.#sizeBytes += chunk.length
    this.#loose.push(chunk)
    this.#looseOctets += chunk.length
    return this.#looseOctets > INLINE_OCTETS_MAX ? this.#writeSlab() : null
  }

  /**
   * Moves what is loose into one buffer, into the file and into memory. Chunks are as small as TLS records: a
   * write to file and next hop for each, and their number in the garbage collector, would cost more than the copy.
   */
  #writeSlab(): Promise<void> | null {
    const slab = compact(this.#loose, this.#looseOctets)
    this.#loose = []
    this.#looseOctets = 0
    this.#kept?.push(slab)
    if (this.#kept !== null && !this.#deps.memory.grow(this.#id, slab.length)) this.#kept = null
    this.#file ??= new BodyFile(this.#deps, this.#id)
    return this.#file.write(slab)
  }

  async finish(): Promise<StoredBody> {
    if (this.#ended) throw new Fault('internal', 'a body was finished twice, or after it was given up')
    if (this.#file === null) {
      this.#ended = true
      const whole = compact(this.#loose, this.#sizeBytes)
      return { sizeBytes: this.#sizeBytes, inMemory: [whole], location: 'inline' }
    }
    try {
      if (this.#looseOctets > 0) this.#writeSlab()
      await this.#file.finish()
    } catch (error) {
      this.abort()
      throw error
    }
    this.#ended = true
    return { sizeBytes: this.#sizeBytes, inMemory: this.#kept, location: 'file' }
  }

  abort(): void {
    if (this.#ended) return
    this.#ended = true
    this.#kept = null
    this.#loose = []
    this.#deps.memory.drop(this.#id)
    this.#file?.discard()
  }
}

/** The file of one large body: appended in the background, in order. */
class BodyFile {
  readonly #deps: BodyWriterDeps
  readonly #id: string
  readonly #path: string
  readonly #seal: BodyPipe
  #pending: Uint8Array[] = []
  #pendingOctets = 0
  #running: Promise<void> | null = null
  #handle: FileHandle | null = null
  #created: Promise<void> | null = null
  #fault: Fault | null = null
  #discarded = false

  constructor(deps: BodyWriterDeps, messageId: string) {
    this.#deps = deps
    this.#id = messageId
    this.#path = bodyPath(deps.dataDirectory, messageId)
    const key = deps.vault.createKey(messageId)
    this.#seal = key.sealBody()
    deps.open.set(messageId, key)
  }

  write(slab: Uint8Array): Promise<void> | null {
    if (this.#fault !== null || this.#discarded) return null
    this.#append(this.#seal.write(slab))
    return this.#pendingOctets > PENDING_OCTETS_MAX ? this.#running : null
  }

  #append(sealed: readonly Uint8Array[]): void {
    for (const part of sealed) {
      this.#pending.push(part)
      this.#pendingOctets += part.length
    }
    if (this.#pending.length > 0) this.#running ??= this.#drain()
  }

  /** Writes until nothing is pending. Never rejects: the fault is kept for `finish`. */
  async #drain(): Promise<void> {
    try {
      this.#handle ??= await this.#create()
      while (this.#pending.length > 0 && !this.#discarded) {
        const chunks = this.#pending.splice(0, WRITEV_MAX)
        const octets = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
        const { bytesWritten } = await this.#handle.writev(chunks)
        if (bytesWritten !== octets) throw new Fault('store-full', 'a body was written in part only')
        this.#pendingOctets -= octets
      }
    } catch (error) {
      this.#fault = this.#deps.fileFault(error)
      this.#pending = []
      this.#pendingOctets = 0
    } finally {
      this.#running = null
    }
  }

  async #create(): Promise<FileHandle> {
    const folder = dirname(this.#path)
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (made !== undefined) await syncFolder(spoolPath(this.#deps.dataDirectory))
    const handle = await open(this.#path, 'wx', 0o600)
    this.#created = syncFolder(folder)
    this.#created.catch(() => {}) // awaited in `finish`
    return handle
  }

  async finish(): Promise<void> {
    try {
      if (this.#fault === null) this.#append(this.#seal.end())
      while (this.#running !== null) await this.#running
      if (this.#fault !== null) throw this.#fault
      await Promise.all([this.#handle?.datasync(), this.#created])
      await this.#close()
    } catch (error) {
      throw error instanceof Fault ? error : this.#deps.fileFault(error)
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    await handle?.close()
  }

  /** Takes the file away, after the write that is under way. */
  discard(): void {
    if (this.#discarded) return
    this.#discarded = true
    this.#pending = []
    const remove = async (): Promise<void> => {
      await this.#running
      await this.#close()
      await rm(this.#path, { force: true })
    }
    // What cannot be removed now is an orphan, and the sweep finds it.
    remove()
      .catch(() => {})
      .finally(() => this.#deps.open.delete(this.#id))
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
