// Documents about the configuration, all made from the rooms' settings: the sample with every key and its
// default (`config/default.yaml`), the JSON Schema for editors (`config/schema.json`) and the reference
// (`docs/configuration.md`). Pure: `generate.ts` writes them, `test/docs.test.ts` compares them.
import { stringify } from 'yaml'
import {
  allowedText,
  defaultOf,
  type KeyReference,
  listKeys,
  type SchemaNode,
  sectionMembers,
} from './reference.ts'
import { configurationNode } from './schema.ts'

const COLUMNS_MAX = 100

/** The sample: a working file once `hostname` and `certificates` are one's own. */
export function sampleYaml(): string {
  const lines = [
    '# yaml-language-server: $schema=./schema.json',
    '# secureTransport: every key with its default. Only hostname and certificates must be given; leave out',
    '# what you do not change, so that better defaults of later versions reach you. Relative paths start where',
    '# this file lies. Generated from the settings in src/ by `npm run generate`.',
    '',
    ...sectionLines(configurationNode(), 0),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function sectionLines(section: SchemaNode, depth: number): string[] {
  const given = section.default
  return sectionMembers(section).flatMap(([name, node]) => {
    const chosen = typeof given === 'object' && given !== null ? Object.entries(given) : []
    const [, value] = chosen.find(([key]) => key === name) ?? []
    // In a choice of sections, keys of those that are not the default are shown, but do not count.
    const isOff = section.oneOf !== undefined && value === undefined && !isCommon(section, name)
    return [...keyLines(name, node, value ?? node.example ?? defaultOf(node), depth, isOff), '']
  })
}

const isCommon = ({ oneOf = [] }: SchemaNode, name: string): boolean =>
  oneOf.every(({ properties }) => properties !== undefined && name in properties)

function keyLines(name: string, node: SchemaNode, value: unknown, depth: number, isOff: boolean): string[] {
  const indent = '  '.repeat(depth)
  const comments = [...commentLines(node), ...itemComments(node)].flatMap((line) => wrap(line, depth))
  const below = node.items === undefined ? sectionMembers(node) : []
  const off = isOff ? '# ' : ''
  if (below.length > 0 && !isOff)
    return [...comments, `${indent}${name}:`, ...sectionLines(node, depth + 1)].slice(0, -1)
  const yaml =
    value === undefined ? `${name}:` : stringify({ [name]: value }, { lineWidth: COLUMNS_MAX }).trimEnd()
  return [...comments, ...yaml.split('\n').map((line) => `${indent}${off}${line}`)]
}

function commentLines(node: SchemaNode): string[] {
  const about = node.description ?? ''
  if (sectionMembers(node).length > 0 && node.items === undefined) return [about]
  return [about, `Allowed: ${allowedText(node)}.`]
}

/** For a list of sections: what may stand in an item. */
function itemComments(node: SchemaNode): string[] {
  const item = node.items
  if (item === undefined) return []
  return listKeys(item).map(({ path, node: key, required }) => {
    const preset = defaultOf(key)
    const state = required
      ? 'required'
      : preset === undefined
        ? 'optional'
        : `default ${JSON.stringify(preset)}`
    return `  ${path}: ${key.description ?? ''} Allowed: ${allowedText(key)}; ${state}.`
  })
}

/** A comment in lines of bounded width; what continues is indented under its first word. */
function wrap(text: string, depth: number): string[] {
  const lead = /^ */.exec(text)?.[0] ?? ''
  const prefix = `${'  '.repeat(depth)}# ${lead}`
  const lines: string[] = []
  let line = ''
  for (const word of text.trim().split(' ')) {
    if (line !== '' && prefix.length + line.length + 1 + word.length > COLUMNS_MAX) {
      lines.push(prefix + (lines.length > 0 && lead ? '  ' : '') + line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, prefix + (lines.length > 0 && lead ? '  ' : '') + line]
}

/** The JSON Schema for editors: our own members become part of the description. */
export function schemaJson(): string {
  return `${JSON.stringify(forEditors(configurationNode()), null, 2)}\n`
}

function forEditors(node: SchemaNode): SchemaNode {
  const { unit, reload, example, minimum, maximum, description, properties, items, oneOf, anyOf, ...rest } =
    node
  const isSection = sectionMembers(node).length > 0
  const allowed = isSection ? '' : ` Allowed: ${allowedText(node)}.`
  return {
    ...rest,
    ...(description === undefined ? {} : { description: `${description}${allowed}` }),
    ...(typeof minimum === 'number' ? { minimum } : {}),
    ...(typeof maximum === 'number' ? { maximum } : {}),
    ...(example === undefined ? {} : { examples: [example] }),
    ...(properties === undefined ? {} : { properties: mapValues(properties, forEditors) }),
    ...(items === undefined ? {} : { items: forEditors(items) }),
    ...(oneOf === undefined ? {} : { oneOf: oneOf.map(forEditors) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(forEditors) }),
  }
}

const mapValues = <T>(record: Readonly<Record<string, T>>, change: (value: T) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))

/** The reference for readers, one table for each section. */
export function referenceMarkdown(): string {
  const keys = listKeys(configurationNode())
  const top = keys.filter(({ path, isSection }) => !path.includes('.') && !path.includes('[') && !isSection)
  const sections = keys.filter(({ path, isSection }) => !path.includes('.') && isSection)
  return [
    '# Configuration',
    '',
    'One YAML file. Generated from the settings in `src/` by `npm run generate`; a sample with every key is',
    '`config/default.yaml`, a JSON Schema for editors `config/schema.json`.',
    '',
    '- The file is `--config FILE`, else `$SECURE_TRANSPORT_CONFIG`, else `config/secure-transport.yaml`.',
    '- `secure-transport check --config FILE` names every fault with its line, and what is allowed.',
    '- Relative paths start where the file lies. Unknown keys are errors.',
    '- Durations are written with a unit (`ms`, `s`, `min`, `h`, `d`), sizes likewise (`KB`, `MB`, `GB`, powers of 1024).',
    '- Keys that may hold a secret also take `{ file: PATH }` or `{ env: NAME }`; their values are shown nowhere.',
    '',
    '## Top level',
    '',
    ...table(top, ''),
    ...sections.flatMap(({ path, node }) => [
      '',
      `## ${path}`,
      '',
      `${node.description ?? ''}${node.items === undefined ? '' : ` A list; default: ${presetText(node)}`}`,
      '',
      ...table(
        keys.filter((key) => key.path.startsWith(`${path}.`) || key.path.startsWith(`${path}[]`)),
        path,
      ),
    ]),
    '',
  ].join('\n')
}

function table(keys: readonly KeyReference[], section: string): string[] {
  return [
    '| key | what it does | default | allowed |',
    '|---|---|---|---|',
    ...keys
      .filter(({ isSection, node }) => !isSection || node.items !== undefined)
      .map(({ path, node, required }) => {
        const name = section === '' ? path : path.slice(section.length).replace(/^(?:\[\])?\.?/, '')
        const preset = required ? '*required*' : presetText(node)
        const cells = [`\`${name}\``, node.description ?? '', preset, allowedText(node)]
        return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
      }),
  ]
}

function presetText(node: SchemaNode): string {
  const preset = defaultOf(node)
  if (preset === undefined) return '–'
  return `\`${typeof preset === 'string' ? preset : JSON.stringify(preset)}\``
}
