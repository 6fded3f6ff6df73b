// Where master keys lie (A4): never in the configuration itself, never in the data directory (a thief of the disk,
// or a backup, would have both), and better not where every user can read them. That is a warning only: secrets
// of a container are readable for everybody, and nobody else is there.
import { realpathSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import type { KeyPath } from './reference.ts'
import type { Finding } from './rules.ts'
import type { WrittenConfiguration } from './schema.ts'
import type { SecretReference } from './secrets.ts'

/** Findings about the master keys. `references`: which secrets were given by reference, and from where. */
export function checkMasterKeys(
  { encryption, dataDirectory }: WrittenConfiguration,
  references: readonly SecretReference[],
): Finding[] {
  const { masterKeys } = encryption
  if (masterKeys.length === 0) {
    const text = 'is empty: mail lies unencrypted in dataDirectory'
    return [{ severity: 'warning', path: ['encryption', 'masterKeys'], text }]
  }
  return masterKeys.flatMap(({ id, key }, index): Finding[] => {
    const path: KeyPath = ['encryption', 'masterKeys', index, 'key']
    const error = (at: KeyPath, text: string): Finding => ({ severity: 'error', path: at, text })
    const earlier = masterKeys.slice(0, index)
    const findings: Finding[] = []
    if (earlier.some((other) => other.id === id)) {
      findings.push(error([...path.slice(0, -1), 'id'], `"${id}" is the id of another key too`))
    }
    if (earlier.some((other) => other.key.equals(key))) {
      findings.push(error(path, 'is the same as another key'))
    }
    const reference = references.find((one) => one.path.join() === path.join())
    if (reference === undefined) {
      findings.push(
        error(path, 'stands in the configuration itself; allowed: { file: PATH } or { env: NAME }'),
      )
    } else if (reference.file !== null) findings.push(...checkFile(reference.file, dataDirectory, path))
    return findings
  })
}

function checkFile(file: string, dataDirectory: string, path: KeyPath): Finding[] {
  if (isInside(realPath(file), realPath(dataDirectory))) {
    const text = `${file} lies in dataDirectory: whoever gets hold of the mail would have its key`
    return [{ severity: 'error', path, text }]
  }
  if ((statSync(file).mode & 0o007) === 0) return []
  return [{ severity: 'warning', path, text: `${file} can be read by every user of this machine` }]
}

/** Links followed; what does not exist yet stays as it is. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function isInside(path: string, directory: string): boolean {
  const steps = relative(directory, path)
  return steps !== '' && !steps.startsWith('..') && !steps.startsWith('/')
}
