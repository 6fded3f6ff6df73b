// Encryption at rest (product row A4) as the stores see it: a key for each message, wrapped by a master key that
// never lies in the data directory. What is sealed says whose it is: nothing can be moved to another message,
// cut off, or put in another order unnoticed. `sealing.ts` implements this with AES-256-GCM, `clear-vault.ts`
// passes everything through.

/** Octets in, octets out, in order; `end` yields the rest. What is opened is proven before it comes out. */
export interface BodyPipe {
  write(chunk: Uint8Array): Uint8Array[]
  end(): Uint8Array[]
}

/** A message's key, in the hands of the store. Dropping the wrapped form destroys the content with it. */
export interface MessageKey {
  /** Id of the master key that wrapped it; empty when nothing is encrypted. */
  readonly masterKeyId: string
  /** The wrapped key, for the message's row; empty when nothing is encrypted. */
  readonly wrapped: Uint8Array
  /** Seals a small thing. `label` names its place (`envelope`, `state 3`) and is part of what is proven. */
  seal(label: string, plain: Uint8Array): Uint8Array
  /** Opens it again. Throws a `spool-unreadable` fault when one bit or the label differs. */
  open(label: string, sealed: Uint8Array): Buffer
  /** Seals the body as it streams in. Once, and only by the key that `createKey` made: see `sealing.ts`. */
  sealBody(): BodyPipe
  /** Opens a body as it streams out. Throws a `spool-unreadable` fault on tampering, truncation or reordering. */
  openBody(): BodyPipe
}

export interface Vault {
  /** True when content is encrypted; false for the vault that only passes through. */
  readonly encrypts: boolean
  /** Ids of the master keys at hand, the current one first; empty when nothing is encrypted. */
  readonly masterKeyIds: readonly string[]
  /** A new random key for a message, wrapped by the current master key. */
  createKey(messageId: string): MessageKey
  /** The key of a stored message. Throws a `spool-unreadable` fault when its master key is not at hand. */
  openKey(messageId: string, masterKeyId: string, wrapped: Uint8Array): MessageKey
  /** The same message key under the current master key (rotation): only the wrapped form changes. */
  rewrap(messageId: string, masterKeyId: string, wrapped: Uint8Array): MessageKey
}
