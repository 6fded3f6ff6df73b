// The cleartext permit (product rows T2, M4, M5): this message may travel unencrypted when the next hop
// offers no TLS. The class cannot be built elsewhere (its constructor is private and it carries a private
// field), and the only function that opens a cleartext channel asks for one: a plaintext hand-over without
// a permit does not type-check.

/** Who allowed it: the sender by subject tag, by header field, by RFC 8689; or our own notices (decision 7). */
export type PermitSource = 'subject-tag' | 'x-klartext' | 'tls-required-no' | 'notification'

export class CleartextPermit {
  readonly #source: PermitSource
  private constructor(source: PermitSource) {
    this.#source = source
  }

  get source(): PermitSource {
    return this.#source
  }

  /**
   * The single place where permits are made. `requireTls` is the envelope's REQUIRETLS flag: it outranks
   * every permit (M5), so that none can exist beside it.
   */
  static grant(source: PermitSource | null, requireTls: boolean): CleartextPermit | null {
    return source === null || requireTls ? null : new CleartextPermit(source)
  }
}
