// The content of a test message follows from its id: most are small, one in eight lies in a file.

/** Octets that a reader can check without having seen the writer. */
export function contentOf(id: string): Buffer {
  const last = id.charCodeAt(id.length - 1)
  const octets = last % 8 === 0 ? 300_000 + last : 200 * (last % 50)
  return Buffer.alloc(octets, id)
}
