// Takes out of a header what tells about the sender's programs and network (product row M2), and touches
// nothing else: the kept fields are the same octets in the same order (M3). Which fields go stands in
// `config/anonymise.yaml`, but for two rules that are not to be configured:
// - `Received` of the client's side goes, whoever wrote it. Only our own trace fields stay (loop detection).
// - `X-secureTransport-forwarded` goes, even when it is signed: only we may say so (M6).
// A field that an existing DKIM signature covers stays, so that the signature still verifies (RFC 6376 §5.4.2:
// `h=` names a field once for each instance it signs, counted from the bottom). ARC-Message-Signature earns
// no such mercy: the shipped rules remove ARC sets, which are about the way to us.

import type { HeaderBlock } from './header-block.ts'
import { type HeaderField, lenientFieldText } from './header-field.ts'
import { FORWARDED_KEY } from './outgoing-copy.ts'
import type { AnonymiseRules } from './settings.ts'
import { isOurTraceField } from './trace-fields.ts'

/** The fields that stay, in order, byte for byte. */
export type Anonymiser = (header: HeaderBlock) => HeaderField[]

/**
 * @param rules what to remove; a name ending in `*` stands for all names that begin so
 * @param ownHostnames the gateways of this installation, whose trace fields stay
 */
export function createAnonymiser(rules: AnonymiseRules, ownHostnames: readonly string[]): Anonymiser {
  const isTelling = compileRules(rules)
  const hostnames = ownHostnames.map((hostname) => hostname.toLowerCase())
  return (header) => {
    const signed = signedFields(header)
    return header.fields.filter((field) => {
      if (field.key === FORWARDED_KEY) return false
      if (signed.has(field)) return true
      if (field.key === 'received') return isOurTraceField(field, hostnames)
      return !isTelling(field.key)
    })
  }
}

function compileRules({ remove }: AnonymiseRules): (key: string) => boolean {
  const patterns = remove.map(({ field }) => field.toLowerCase())
  const names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (key) => names.has(key) || prefixes.some((prefix) => key.startsWith(prefix))
}

/** The fields that at least one DKIM signature covers. */
function signedFields(header: HeaderBlock): Set<HeaderField> {
  const byName = Map.groupBy(header.fields, ({ key }) => key)
  const signed = new Set<HeaderField>()
  for (const signature of byName.get('dkim-signature') ?? []) {
    for (const [key, times] of signedTimes(lenientFieldText(signature))) {
      for (const field of byName.get(key)?.slice(-times) ?? []) signed.add(field)
    }
  }
  return signed
}

/** How often each field name (lower case) stands in the `h=` tag of a signature. RFC 6376 §3.5. */
function signedTimes(signature: string): Map<string, number> {
  const tag = signature.split(';').find((text) => /^\s*h\s*=/.test(text)) ?? ''
  const times = new Map<string, number>()
  for (const name of tag.slice(tag.indexOf('=') + 1).split(':')) {
    const key = name.trim().toLowerCase()
    if (key !== '') times.set(key, (times.get(key) ?? 0) + 1)
  }
  return times
}
