// The configuration as a flat list of keys with description, unit, default and what is allowed, read from the
// JSON Schema that zod makes of the rooms' settings. Error texts, sample file and reference all come from
// here, so they cannot disagree. Pure; knows no single key.

/** One node of the JSON Schema; the members that zod writes for what the settings use, and our own meta. */
export interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly example?: unknown
  readonly reload?: string
  readonly unit?: string
  readonly minimum?: number | string
  readonly maximum?: number | string
  readonly minLength?: number
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly additionalProperties?: boolean | SchemaNode
  readonly oneOf?: readonly SchemaNode[]
  readonly anyOf?: readonly SchemaNode[]
}

/** One key for readers. `path` is dotted, list items as `listeners[].port`, free names as `partners.*.level`. */
export interface KeyReference {
  readonly path: string
  readonly node: SchemaNode
  readonly required: boolean
  /** A section or list of sections: its own keys follow. */
  readonly isSection: boolean
}

/** Steps through a value of the configuration: names and list positions. */
export type KeyPath = readonly (string | number)[]

/** The pattern that `path` fits, as `KeyReference.path` writes it: `listeners[].port`. */
export const patternOf = (path: KeyPath): string =>
  path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[]`
    return text === '' ? step : `${text}.${step}`
  }, '')

/** Every key below `node`, in the order of the settings files, each section before its keys. */
export function listKeys(node: SchemaNode, prefix = ''): KeyReference[] {
  const keys: KeyReference[] = []
  for (const [name, child] of sectionMembers(node)) {
    const path = prefix === '' ? name : `${prefix}.${name}`
    const below = listBelow(child, path)
    if (keys.some((key) => key.path === path)) continue
    const required = (node.required ?? []).includes(name) && child.default === undefined
    keys.push({ path, node: child, required, isSection: below.length > 0 }, ...below)
  }
  return keys
}

function listBelow(node: SchemaNode, path: string): KeyReference[] {
  if (node.items !== undefined) return listBelow(node.items, `${path}[]`)
  const free = node.additionalProperties
  if (typeof free === 'object') {
    const below = listKeys(free, `${path}.*`)
    return below.length > 0 ? below : [{ path: `${path}.*`, node: free, required: false, isSection: false }]
  }
  return listKeys(node, path)
}

/** Members of a section, those of all its variants included (`scanner`: `none` or `clamd`). */
export function sectionMembers(node: SchemaNode): [string, SchemaNode][] {
  const own = Object.entries(node.properties ?? {})
  const merged = new Map<string, SchemaNode>(own)
  for (const [name, child] of variants(node).flatMap(sectionMembers)) {
    const known = merged.get(name)
    merged.set(name, known === undefined ? child : merge(known, child))
  }
  return [...merged]
}

const variants = (node: SchemaNode): readonly SchemaNode[] =>
  node.unit === 'secret' ? [] : [...(node.oneOf ?? []), ...(node.anyOf ?? [])]

/** The same key in two variants: its values together. */
function merge(one: SchemaNode, other: SchemaNode): SchemaNode {
  const values = [...constants(one), ...constants(other)]
  const description = one.description ?? other.description
  const kept = { ...other, ...one, ...(description === undefined ? {} : { description }) }
  if (values.length === 0) return kept
  const { const: _, ...rest } = kept
  return { ...rest, enum: values }
}

const constants = (node: SchemaNode): readonly unknown[] =>
  node.const === undefined ? (node.enum ?? []) : [node.const]

/** The node that describes the value at `path`, or `null` when the schema knows no such key. */
export function nodeAt(root: SchemaNode, path: KeyPath): SchemaNode | null {
  let node: SchemaNode | undefined = root
  for (const step of path) {
    const candidates: SchemaNode[] = [node, ...variants(node)]
    if (typeof step === 'number') {
      node = candidates.find((candidate) => candidate.items !== undefined)?.items
    } else {
      node = new Map(sectionMembers(node)).get(step) ?? freeNode(candidates)
    }
    if (node === undefined) return null
  }
  return node
}

function freeNode(candidates: readonly SchemaNode[]): SchemaNode | undefined {
  for (const { additionalProperties } of candidates) {
    if (typeof additionalProperties === 'object') return additionalProperties
  }
  return undefined
}

/** Names that may stand in the section at `path`; empty where names are free. */
export function knownNames(root: SchemaNode, path: KeyPath): string[] {
  const node = nodeAt(root, path)
  return node === null ? [] : sectionMembers(node).map(([name]) => name)
}

/** What a key may hold, in words that complete "allowed: …". */
export function allowedText(node: SchemaNode): string {
  const choices = constants(node)
  if (choices.length > 0) return listText(choices.map((choice) => String(choice)))
  switch (node.unit) {
    case 'duration':
      return `a duration such as 90s, 15min, 120h or 5d${rangeText(node)}`
    case 'size':
      return `a size such as 64KB, 50MB or 2GB${rangeText(node)}`
    case 'host name':
      return 'a host name such as mail.example.org'
    case 'path':
      return `a path, relative to this file or absolute${isNullable(node) ? ', or null' : ''}`
    case 'secret':
      return 'text, { file: PATH } or { env: NAME }'
    default:
  }
  if (variants(node).length > 0) return alternatives(variants(node).map(allowedText))
  const types = Array.isArray(node.type) ? node.type : [node.type ?? 'object']
  return alternatives(types.map((type) => typeText(String(type), node)))
}

function typeText(type: string, node: SchemaNode): string {
  switch (type) {
    case 'boolean':
      return 'true or false'
    case 'integer':
      return `a whole number${rangeText(node)}`
    case 'number':
      return `a number${rangeText(node)}`
    case 'array':
      return listTypeText(node.items ?? {})
    case 'string':
      return 'text'
    case 'object':
      return 'a section'
    default:
      return type
  }
}

function listTypeText(item: SchemaNode): string {
  const names = sectionMembers(item).map(([name]) => name)
  if (names.length > 0) return `a list of sections (${names.join(', ')})`
  return `a list, each ${allowedText(item)}`
}

const isNullable = (node: SchemaNode): boolean => Array.isArray(node.type) && node.type.includes('null')

const alternatives = (texts: readonly string[]): string => listText([...new Set(texts)])

const rangeText = ({ minimum, maximum }: SchemaNode): string =>
  minimum === undefined || maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
    ? ''
    : `, from ${minimum} to ${maximum}`

/** The default as an operator writes it; lists are empty unless they say otherwise. */
export const defaultOf = (node: SchemaNode): unknown =>
  node.default === undefined && node.type === 'array' ? [] : node.default

function listText(texts: readonly string[]): string {
  const last = texts.at(-1) ?? ''
  return texts.length < 2 ? last : `${texts.slice(0, -1).join(', ')} or ${last}`
}
