// Reads what an operator gave as a master key: 32 octets, written in hex or base64. Where the text came from is
// the configuration's business; no message here repeats any of it.
import { createSecretKey, type KeyObject } from 'node:crypto'

export type ReadMasterKey =
  | { readonly kind: 'key'; readonly key: KeyObject }
  /** `text`: what is wrong, without the key. */
  | { readonly kind: 'refused'; readonly text: string }

const KEY_OCTETS = 32
const HEX = /^(?:[0-9a-f]{2})+$/i
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** 64 hex digits, or base64 of 32 octets (standard or URL-safe, with or without padding); white space around it. */
export function readMasterKey(written: string): ReadMasterKey {
  const text = written.trim()
  if (text === '') return { kind: 'refused', text: 'it is empty' }
  const octets = HEX.test(text) ? Buffer.from(text, 'hex') : decodeBase64(text)
  if (octets === null) return { kind: 'refused', text: 'it is neither hex nor base64' }
  if (octets.length !== KEY_OCTETS) {
    return { kind: 'refused', text: `it has ${octets.length} octets instead of ${KEY_OCTETS}` }
  }
  if (new Set(octets).size < 8) return { kind: 'refused', text: 'it is not random' }
  return { kind: 'key', key: createSecretKey(octets) }
}

function decodeBase64(text: string): Buffer | null {
  if (!BASE64.test(text)) return null
  const unpadded = text.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/')
  const octets = Buffer.from(unpadded, 'base64')
  return octets.toString('base64').replace(/=+$/, '') === unpadded ? octets : null
}
