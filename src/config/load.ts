// From a YAML file to a checked configuration, or to the list of all that is wrong with it (O6). Order: read,
// YAML, secrets, zod, paths, rules between keys, files on disk. Nothing is created or changed.
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { loadAnonymiseRules } from './anonymise.ts'
import { explainIssue, keyText, type Problem, type Source } from './explain.ts'
import { checkFiles, withAbsolutePaths } from './files.ts'
import { checkMasterKeys } from './key-files.ts'
import { type KeyPath, patternOf } from './reference.ts'
import { checkRules, type Finding } from './rules.ts'
import { type Configuration, configurationNode, configurationSchema, SECRET_KEYS } from './schema.ts'
import { errorCode, isPlainObject, withSecrets } from './secrets.ts'

/** `problems` of an invalid one hold at least one error; those of a good one are warnings. */
export type Loaded =
  | { readonly kind: 'ok'; readonly configuration: Configuration; readonly problems: readonly Problem[] }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] }

interface Surroundings {
  /** Environment variables for secrets; those of the process unless a test says otherwise. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** Epoch ms, for the dates of certificates. */
  readonly now?: number
}

const TOO_MANY_ALIASES = Symbol('too many aliases')
const FILE_OCTETS_MAX = 1024 * 1024
const DEFAULT_FILE = 'config/secure-transport.yaml'

/** The file to read: the one given, else `$SECURE_TRANSPORT_CONFIG`, else `config/secure-transport.yaml`. */
export function configurationFile(given: string | undefined): string {
  const { SECURE_TRANSPORT_CONFIG: fromEnvironment } = process.env
  return given ?? (fromEnvironment || DEFAULT_FILE)
}

/** Reads and checks `file`. Never throws for what an operator can have done wrong. */
export function loadConfiguration(file: string, surroundings: Surroundings = {}): Loaded {
  const read = readText(file)
  return read.kind === 'invalid' ? read : parseConfiguration(read.text, file, surroundings)
}

/** Checks the text of a configuration file; `file` is where relative paths start. */
export function parseConfiguration(text: string, file: string, surroundings: Surroundings = {}): Loaded {
  const { variables = process.env, now = Date.now() } = surroundings
  const document = readDocument(text)
  if (document.kind === 'invalid') return document
  const { raw, lineOf } = document
  const located = ({ severity, path, text: found }: Finding): Problem => ({
    severity,
    line: lineOf(path),
    key: keyText(path),
    text: found,
  })
  const secrets = withSecrets(raw, SECRET_KEYS, dirname(resolve(file)), variables)
  const unreadable = secrets.faults.map(located)
  const parsed = configurationSchema.safeParse(secrets.value)
  if (!parsed.success) {
    const source: Source = {
      schema: configurationNode(),
      value: secrets.value,
      lineOf,
      isSecret: (path) => SECRET_KEYS.includes(patternOf(path)),
    }
    return invalid([...unreadable, ...parsed.error.issues.flatMap((issue) => explainIssue(issue, source))])
  }
  const written = withAbsolutePaths(parsed.data, file)
  const findings = [
    ...checkRules(written),
    ...checkMasterKeys(written, secrets.references),
    ...checkFiles(written, now),
  ]
  const problems = [...unreadable, ...findings.map(located)]
  const anonymise = loadAnonymiseRules(written.anonymise)
  if (anonymise.kind === 'invalid') {
    return invalid([...problems, located({ severity: 'error', path: ['anonymise'], text: anonymise.text })])
  }
  return problems.some(({ severity }) => severity === 'error')
    ? invalid(problems)
    : { kind: 'ok', configuration: { ...written, anonymiseRules: anonymise.rules }, problems }
}

interface YamlDocument {
  readonly kind: 'document'
  readonly raw: Readonly<Record<string, unknown>>
  /** Line of the key at `path`, or of the innermost thing around it. */
  lineOf(path: KeyPath): number | null
}

function readDocument(text: string): YamlDocument | (Loaded & { kind: 'invalid' }) {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0) {
    return invalid(
      document.errors.map(({ message, pos }) => fault(`is not YAML: ${message}`, lines.linePos(pos[0]).line)),
    )
  }
  const raw = plainValue(document) ?? {}
  if (raw === TOO_MANY_ALIASES) return invalid([fault('unfolds without end: too many aliases')])
  if (!isPlainObject(raw)) return invalid([fault('must be a list of keys such as hostname: …', 1)])
  return { kind: 'document', raw, lineOf: (path) => lineAt(document.contents, path, lines) }
}

const fault = (text: string, line: number | null = null): Problem => ({
  severity: 'error',
  line,
  key: '',
  text,
})

/** In the order of the file, errors and warnings together. */
const invalid = (problems: readonly Problem[]): Loaded & { kind: 'invalid' } => ({
  kind: 'invalid',
  problems: problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)),
})

function readText(file: string): { kind: 'text'; text: string } | (Loaded & { kind: 'invalid' }) {
  try {
    if (statSync(file).size > FILE_OCTETS_MAX) return invalid([fault('is over 1 MB')])
    return { kind: 'text', text: readFileSync(file, 'utf8') }
  } catch (thrown) {
    return invalid([fault(`cannot be read (${errorCode(thrown)})`)])
  }
}

/** The document as plain values. yaml throws when aliases make it much larger than it is written. */
function plainValue(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch {
    return TOO_MANY_ALIASES
  }
}

/** Line of the key at `path`, or of the innermost thing around it that stands in the file. */
function lineAt(contents: unknown, path: KeyPath, lines: LineCounter): number | null {
  let node: unknown = contents
  let line: number | null = null
  const see = (seen: Node | null | undefined): void => {
    const offset = seen?.range?.[0]
    if (offset !== undefined) line = lines.linePos(offset).line
  }
  for (const step of path) {
    if (isMap<Node, Node | null>(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      if (pair === undefined) break
      see(pair.key)
      node = pair.value
    } else if (isSeq<Node>(node) && typeof step === 'number') {
      const item = node.items[step]
      if (item === undefined) break
      see(item)
      node = item
    } else break
  }
  return line
}
