// What is wrong with a configuration, one line for each fault: where (line, key), what was found, what is
// allowed. zod says where and sometimes why; the value and the nearest known key are added here. A secret's
// value is never shown. Pure.
import type { z } from 'zod'
import { allowedText, type KeyPath, knownNames, nodeAt, type SchemaNode } from './reference.ts'

/** One finding about a configuration. `warning`: it works, but not as one would want. */
export interface Problem {
  readonly severity: 'error' | 'warning'
  /** Line in the file, from 1; `null` when it is about no place in it. */
  readonly line: number | null
  /** Dotted key such as `listeners[0].port`; empty for the whole file. */
  readonly key: string
  /** What was found and what is allowed; never a secret. */
  readonly text: string
}

/** `FILE:LINE: KEY: TEXT`, warnings with `warning: ` before the key. */
export function problemText(file: string, problem: Problem): string {
  const place = problem.line === null ? file : `${file}:${problem.line}`
  const severity = problem.severity === 'warning' ? 'warning: ' : ''
  return `${place}: ${severity}${problem.key === '' ? '' : `${problem.key}: `}${problem.text}`
}

/** What `explainIssue` must know of the file that was read. */
export interface Source {
  readonly schema: SchemaNode
  /** The value of the whole file before defaults. */
  readonly value: unknown
  /** Line of the key at `path`, or of the nearest thing around it. */
  lineOf(path: KeyPath): number | null
  /** The value at `path` must not be shown. */
  isSecret(path: KeyPath): boolean
}

/** The problems that one zod issue stands for: one, or one for each unknown key. */
export function explainIssue(issue: z.core.$ZodIssue, source: Source): Problem[] {
  const path = issue.path.filter((step) => typeof step !== 'symbol')
  const error = (at: KeyPath, text: string): Problem => ({
    severity: 'error',
    line: source.lineOf(at),
    key: keyText(at),
    text,
  })
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const nearest = nearestName(name, knownNames(source.schema, path))
      const hint = nearest === null ? '' : `; did you mean ${keyText([...path, nearest])}?`
      return error([...path, name], `unknown key${hint}`)
    })
  }
  const found = valueAt(source.value, path)
  const node = nodeAt(source.schema, path)
  const allowed = isOwnText(issue.message) || node === null ? issue.message : allowedText(node)
  if (found === undefined) return [error(path, `is missing; needed: ${allowed}`)]
  if (found === null && path.length > 0 && isSection(node)) {
    return [error(path, 'is an empty section; give it a key or remove it')]
  }
  const shown = source.isSecret(path) ? 'the value (not shown)' : shownValue(found)
  return [error(path, `${shown} is not allowed; allowed: ${allowed}`)]
}

const isSection = (node: SchemaNode | null): boolean => node?.properties !== undefined

/** Texts of the settings files say what is allowed; zod's own say what went wrong. */
const isOwnText = (message: string): boolean => !/^(?:Invalid|Too |Unrecognized|Expected)/.test(message)

/** `listeners[0].port` from its steps. */
export const keyText = (path: KeyPath): string =>
  path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    return text === '' ? printable(step) : `${text}.${printable(step)}`
  }, '')

/** The value at `path`; `undefined` when there is none. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let current: unknown = value
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = Object.getOwnPropertyDescriptor(current, step)?.value
  }
  return current
}

const SHOWN_CHARACTERS_MAX = 60

function shownValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a section'
  const text = typeof value === 'string' ? `"${value}"` : String(value)
  return printable(text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text)
}

const printable = (text: string): string => text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?')

/** The known name that is most like `name`, or `null` when none is near enough to be meant. */
export function nearestName(name: string, known: readonly string[]): string | null {
  const farthest = Math.max(2, Math.floor(name.length / 3))
  let best: { name: string; distance: number } | null = null
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance <= farthest && (best === null || distance < best.distance))
      best = { name: candidate, distance }
  }
  return best?.name ?? null
}

/** Levenshtein distance. Keys are short; anything long is cut. */
function editDistance(one: string, other: string): number {
  const [a, b] = [one.slice(0, 50), other.slice(0, 50)]
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
