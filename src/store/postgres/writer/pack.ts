// All octets of a batch travel in one binary parameter, cut up again by the statements: `pg` would send octets
// within an array or JSON as hex text, twice their size.
export interface Place {
  /** Counted from 1, as `substring` does. */
  readonly from: number
  readonly size: number
}

export interface OctetPack {
  add(parts: readonly Uint8Array[]): Place
  /** Everything that was added. */
  octets(): Buffer
}

export function createOctetPack(): OctetPack {
  const all: Uint8Array[] = []
  let total = 0
  return {
    add(parts) {
      const from = total + 1
      for (const part of parts) {
        all.push(part)
        total += part.length
      }
      return { from, size: total + 1 - from }
    },
    octets: () => Buffer.concat(all, total),
  }
}
