// Asks for a real part: a test that needs Postfix runs where Postfix can run, is skipped by name elsewhere, and
// fails where it must not be missing (CI=true), so that nothing is ever left out unnoticed.
//
//     const postfix = requirePart('postfix')
//     test('T1: …', { skip: postfix.skip }, async () => { … postfix.path … })
import { accessSync, constants } from 'node:fs'
import { basename } from 'node:path'
import { type PartName, parts } from './packages.ts'

/** What `{ skip }` of node:test takes, and the binary; `path` is of use only where `skip` is false. */
export interface FoundPart {
  readonly path: string
  readonly skip: false | string
}

/** Where the part is, or why a test that needs it is skipped. Throws instead of skipping when CI=true. */
export function requirePart(name: PartName): FoundPart {
  const part = parts[name]
  const path = findBinary(part.binary)
  const missing =
    path === null
      ? `needs ${name} (Debian: ${part.packages.join(' ')})`
      : part.needsRoot && process.getuid?.() !== 0
        ? `needs root, because of ${name}`
        : null
  if (missing !== null && process.env['CI'] === 'true')
    throw new Error(`in CI no part may be missing: ${missing}`)
  return { path: path ?? part.binary, skip: missing ?? false }
}

function findBinary(debianPath: string): string | null {
  const folders = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`.split(':')
  const candidates = [debianPath, ...folders.map((folder) => `${folder}/${basename(debianPath)}`)]
  return candidates.find(isExecutable) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // absent or not for us: either way not a part that can be used
  }
}
