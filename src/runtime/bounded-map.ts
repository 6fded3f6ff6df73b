// A map with a bound and an age: the form of every cache here. Oldest use goes first.
import type { Clock } from './clock.ts'

export class BoundedMap<K, V> {
  readonly #entries = new Map<K, { value: V; expiresAt: number }>()
  readonly #clock: Clock
  readonly #entriesMax: number

  /** `entriesMax`: how many entries are kept; beyond it the least recently used one is dropped. */
  constructor(clock: Clock, entriesMax: number) {
    this.#clock = clock
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value, unless it is unknown or older than the life it was given. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    if (entry.expiresAt <= this.#clock.monotonic()) return undefined
    this.#entries.set(key, entry)
    return entry.value
  }

  set(key: K, value: V, lifeMs: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, expiresAt: this.#clock.monotonic() + lifeMs })
    if (this.#entries.size > this.#entriesMax) {
      const oldest = this.#entries.keys().next()
      if (!oldest.done) this.#entries.delete(oldest.value)
    }
  }

  delete(key: K): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }
}
