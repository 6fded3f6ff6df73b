// Encryption at rest with AES-256-GCM (product row A4, docs/decisions/0003-encryption-at-rest.md): a random key
// for each message, wrapped by a master key. Every sealed thing proves the message and the place it belongs to.
//
// Why no nonce is ever used twice under one key:
// - A message key is random and seals one message only. Small things get a nonce of 95 random bits, its first
//   bit set: re-sealing a state after each of some hundred attempts, by any run of any node, stays far from the
//   2^32 uses that random nonces allow.
// - The chunks of the body get 0, 1, 2 …, the first bit clear, so that they never meet the former. A body is
//   sealed once per key: only the object that `createKey` returned can do it, and only once. A body that is
//   written anew has a new key.
// - A master key wraps with 96 random bits: change it before it has wrapped 2^32 messages (NIST SP 800-38D §8.3).
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { Fault } from '../runtime/fault.ts'
import type { Random } from '../runtime/random.ts'
import { clearKey, clearVault } from './clear-vault.ts'
import { openBodyPipe, sealBodyPipe } from './sealed-body.ts'
import type { MessageKey, Vault } from './vault.ts'

/** What encrypts message keys. `key` holds 32 octets and shows them nowhere. */
export interface MasterKey {
  readonly id: string
  readonly key: KeyObject
}

export interface VaultSettings {
  /** The current one first; empty: nothing is encrypted. */
  readonly masterKeys: readonly MasterKey[]
  /** May mail be opened that lies in the queue unencrypted, from before there was a master key? */
  readonly acceptUnencrypted: boolean
}

const ALGORITHM = 'aes-256-gcm'
const KEY_OCTETS = 32
const NONCE_OCTETS = 12
const TAG_OCTETS = 16
const NONCES_AT_ONCE = 64
/** First octet of a wrapped key: the form of everything that is sealed under it. */
const FORM = 1
const WRAPPED_OCTETS = 1 + NONCE_OCTETS + KEY_OCTETS + TAG_OCTETS

/** The vault for these master keys; without any, the one that passes through. */
export function createVault({ masterKeys, acceptUnencrypted }: VaultSettings, random: Random): Vault {
  const [current] = masterKeys
  if (current === undefined) return clearVault
  const newNonce = createNonces(random)

  const wrap = (messageId: string, octets: Uint8Array): { masterKeyId: string; wrapped: Uint8Array } => {
    const nonce = newNonce()
    const sealed = encrypt(current.key, nonce, wrapProof(messageId, current.id), octets)
    return { masterKeyId: current.id, wrapped: Buffer.concat([Buffer.of(FORM), nonce, sealed]) }
  }
  const unwrap = (messageId: string, masterKeyId: string, wrapped: Uint8Array): Buffer => {
    const master = masterKeys.find(({ id }) => id === masterKeyId)
    if (master === undefined) throw unreadable(`the master key ${masterKeyId} is not at hand`)
    if (wrapped[0] !== FORM || wrapped.length !== WRAPPED_OCTETS) throw unreadable('a message key is damaged')
    const nonce = wrapped.subarray(1, 1 + NONCE_OCTETS)
    const sealed = wrapped.subarray(1 + NONCE_OCTETS)
    return decrypt(master.key, nonce, wrapProof(messageId, masterKeyId), sealed, 'a message key')
  }
  const openKey: Vault['openKey'] = (messageId, masterKeyId, wrapped) => {
    if (masterKeyId !== '') {
      const key = createSecretKey(unwrap(messageId, masterKeyId, wrapped))
      return messageKey(messageId, key, { masterKeyId, wrapped }, newNonce)
    }
    if (!acceptUnencrypted) throw unreadable('it is not encrypted, and encryption.acceptUnencrypted is false')
    return clearKey
  }
  return {
    encrypts: true,
    masterKeyIds: masterKeys.map(({ id }) => id),
    createKey(messageId) {
      const octets = random.bytes(KEY_OCTETS)
      const key = createSecretKey(octets)
      let sealed = false
      return {
        ...messageKey(messageId, key, wrap(messageId, octets), newNonce),
        sealBody() {
          if (sealed) throw new Fault('internal', 'a body was sealed twice under one key')
          sealed = true
          return sealBodyPipe(messageId, key)
        },
      }
    },
    openKey,
    rewrap(messageId, masterKeyId, wrapped) {
      if (masterKeyId === '') return openKey(messageId, masterKeyId, wrapped)
      const octets = unwrap(messageId, masterKeyId, wrapped)
      return messageKey(messageId, createSecretKey(octets), wrap(messageId, octets), newNonce)
    },
  }
}

/** A key that was stored: it opens everything, and seals small things only. */
function messageKey(
  messageId: string,
  key: KeyObject,
  stored: { readonly masterKeyId: string; readonly wrapped: Uint8Array },
  newNonce: () => Buffer,
): MessageKey {
  return {
    ...stored,
    seal(label, plain) {
      const nonce = newNonce()
      nonce.writeUInt8(nonce.readUInt8(0) | 0x80, 0)
      return Buffer.concat([nonce, encrypt(key, nonce, placeProof(messageId, label), plain)])
    },
    open(label, sealed) {
      const nonce = sealed.subarray(0, NONCE_OCTETS)
      if (sealed.length < NONCE_OCTETS + TAG_OCTETS || ((nonce[0] ?? 0) & 0x80) === 0) {
        throw unreadable(`${label} is damaged`)
      }
      return decrypt(key, nonce, placeProof(messageId, label), sealed.subarray(NONCE_OCTETS), label)
    },
    sealBody() {
      throw new Fault('internal', 'a body was sealed under the key of a stored message')
    },
    openBody: () => openBodyPipe(messageId, key),
  }
}

/** Random nonces, each one once; drawn many at a time, because a draw costs as much as sealing a small thing. */
function createNonces(random: Random): () => Buffer {
  let drawn: Buffer = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used === drawn.length) {
      drawn = random.bytes(NONCE_OCTETS * NONCES_AT_ONCE)
      used = 0
    }
    used += NONCE_OCTETS
    return drawn.subarray(used - NONCE_OCTETS, used)
  }
}

const wrapProof = (messageId: string, masterKeyId: string): Buffer =>
  Buffer.from(`key ${FORM}\n${messageId}\n${masterKeyId}`)
const placeProof = (messageId: string, label: string): Buffer => Buffer.from(`${messageId}\n${label}`)

/** Ciphertext, then tag. */
function encrypt(key: KeyObject, nonce: Uint8Array, proof: Buffer, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(proof)
  const sealed = cipher.update(plain)
  return Buffer.concat([sealed, cipher.final(), cipher.getAuthTag()])
}

/** Throws when anything differs. The thrown fault says what (`subject`), and nothing of its content. */
function decrypt(
  key: KeyObject,
  nonce: Uint8Array,
  proof: Buffer,
  sealed: Uint8Array,
  subject: string,
): Buffer {
  const end = sealed.length - TAG_OCTETS
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_OCTETS })
    .setAAD(proof)
    .setAuthTag(sealed.subarray(end))
  const plain = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
  } catch {
    throw unreadable(`${subject} is damaged`)
  }
  return plain
}

const unreadable = (text: string): Fault => new Fault('spool-unreadable', text)
