// Headers for the tests of this room.
import assert from 'node:assert/strict'
import { type HeaderBlock, parseHeaderBlock } from '../../src/message/header-block.ts'

/** Parses a header that must be well-formed. `octets` says how the text becomes octets. */
export function headerOf(text: string, octets: 'utf8' | 'latin1' = 'utf8'): HeaderBlock {
  const parsed = parseHeaderBlock(Buffer.from(text, octets), { fieldsMax: 1000, octetsMax: 1_048_576 })
  assert.ok(parsed.kind === 'header', JSON.stringify(parsed))
  return parsed.header
}
