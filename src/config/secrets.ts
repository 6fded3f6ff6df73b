// Secrets from elsewhere: `{ file: PATH }` and `{ env: NAME }` in place of a text, for the keys that
// `schema.ts` lists. Done on the raw values before they are checked, so that the rooms only ever see texts.
// The values found here stand in no problem text.
import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type KeyPath, patternOf } from './reference.ts'
import type { Finding } from './rules.ts'

/** Where systemd puts what `LoadCredential=` names. */
const CREDENTIALS = '$CREDENTIALS_DIRECTORY/'
const SECRET_OCTETS_MAX = 64 * 1024

/** A secret that was given by reference. `file`: absolute path, `null` for one from the environment. */
export interface SecretReference {
  readonly path: KeyPath
  readonly file: string | null
}

/**
 * A copy of `value` with references at `secretKeys` (patterns) replaced by what they point to. File paths
 * are relative to `directory` and may begin with `$CREDENTIALS_DIRECTORY/` (systemd); the line end after the
 * last line of a file does not count. `references`: what was replaced.
 */
export function withSecrets(
  value: unknown,
  secretKeys: readonly string[],
  directory: string,
  variables: Readonly<Record<string, string | undefined>>,
): { value: unknown; faults: Finding[]; references: SecretReference[] } {
  const faults: Finding[] = []
  const references: SecretReference[] = []
  const replace = (current: unknown, path: KeyPath): unknown => {
    if (secretKeys.includes(patternOf(path)) && isPlainObject(current)) {
      const read = readReference(current, directory, variables)
      if (read === null) return current
      if (read.kind === 'secret') {
        references.push({ path, file: read.file })
        return read.secret
      }
      faults.push({ severity: 'error', path, text: read.text })
      return undefined
    }
    if (Array.isArray(current)) return current.map((item, index) => replace(item, [...path, index]))
    if (!isPlainObject(current)) return current
    return Object.fromEntries(
      Object.entries(current).map(([name, child]) => [name, replace(child, [...path, name])]),
    )
  }
  return { value: replace(value, []), faults, references }
}

type Read = { kind: 'secret'; secret: string; file: string | null } | { kind: 'fault'; text: string }

/** `null` when it is no reference; the schema then says what is allowed. */
function readReference(
  reference: Readonly<Record<string, unknown>>,
  directory: string,
  variables: Readonly<Record<string, string | undefined>>,
): Read | null {
  const [[source, name] = [], ...more] = Object.entries(reference)
  if (more.length > 0 || typeof name !== 'string') return null
  if (source === 'env') {
    const secret = variables[name]
    return secret === undefined
      ? { kind: 'fault', text: `the environment variable ${name} is not set` }
      : { kind: 'secret', secret, file: null }
  }
  if (source !== 'file') return null
  if (!name.startsWith(CREDENTIALS)) return readSecretFile(resolve(directory, name), name)
  const { CREDENTIALS_DIRECTORY: credentials } = variables
  return credentials === undefined
    ? { kind: 'fault', text: 'the environment variable CREDENTIALS_DIRECTORY is not set' }
    : readSecretFile(join(credentials, name.slice(CREDENTIALS.length)), name)
}

function readSecretFile(path: string, name: string): Read {
  try {
    if (statSync(path).size > SECRET_OCTETS_MAX)
      return { kind: 'fault', text: `the file ${name} is over 64 KB` }
    return { kind: 'secret', secret: readFileSync(path, 'utf8').replace(/\r?\n$/, ''), file: path }
  } catch (thrown) {
    return { kind: 'fault', text: `the file ${name} cannot be read (${errorCode(thrown)})` }
  }
}

/** `ENOENT` and the like. */
export const errorCode = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown error'

export const isPlainObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
