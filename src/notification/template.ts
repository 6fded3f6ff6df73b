// A small template engine for texts that an operator may replace: `{{name}}` is a value, and
// `{{#block}} … {{/block}}` is repeated for each entry of a list (none: nothing appears). A line that holds
// only a block tag disappears. There are no conditions, no functions and no way to write a value unescaped.
// A template is checked when it is compiled, so that a typing error stops the start and not a notice.
import { Fault } from '../runtime/fault.ts'

/** Text that is markup already; only this module and the frame of an HTML notice make it. */
export interface Markup {
  readonly markup: string
}

/** Values of a template: texts, markup, and lists for its blocks. Inner values hide outer ones. */
export interface TemplateValues {
  readonly [name: string]: string | Markup | readonly TemplateValues[]
}

/** What may stand in a template: names of values, and of blocks with what may stand in those. */
export interface TemplateShape {
  readonly values: readonly string[]
  readonly blocks?: Readonly<Record<string, TemplateShape>>
  /** Values and blocks that must stand in it. */
  readonly required?: readonly string[]
}

export interface Template {
  render(values: TemplateValues): string
}

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly name: string }
  | { readonly kind: 'block'; readonly name: string; readonly nodes: readonly Node[] }

const TAG = /\{\{\s*([#/]?)\s*([A-Za-z]*)\s*\}\}/g
/** A block tag alone on its line, with the line end. */
const LONE_TAG = /^[ \t]*(\{\{\s*[#/]\s*[A-Za-z]*\s*\}\})[ \t]*\n/gm

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text made safe for HTML content and quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')

/**
 * Compiles `source`; `file` names it in errors. Throws `Fault` (configuration) for a placeholder that `shape`
 * does not know, one that is missing, or a block that does not end.
 */
export function compileTemplate(
  file: string,
  source: string,
  shape: TemplateShape,
  format: 'text' | 'html',
): Template {
  const nodes = parse(file, source.replace(/\r\n/g, '\n').replace(LONE_TAG, '$1'), shape)
  const protect = format === 'html' ? escapeHtml : (text: string): string => text
  return { render: (values) => renderNodes(nodes, [values], protect) }
}

interface OpenBlock {
  readonly name: string
  readonly shape: TemplateShape
  readonly nodes: Node[]
}

function parse(file: string, source: string, shape: TemplateShape): readonly Node[] {
  const root: OpenBlock = { name: '', shape, nodes: [] }
  const open = [root]
  let current = root
  let at = 0
  for (const match of source.matchAll(TAG)) {
    const [tag, sign, name = ''] = match
    pushText(current, source.slice(at, match.index))
    at = match.index + tag.length
    if (sign === '#') {
      const inner = findShape(open, name)
      if (inner === null) throw unknown(file, tag, open)
      const block: OpenBlock = { name, shape: inner, nodes: [] }
      current.nodes.push({ kind: 'block', name, nodes: block.nodes })
      open.push(block)
      current = block
    } else if (sign === '/') {
      if (open.length === 1 || current.name !== name) throw broken(file, `${tag} closes no open block`)
      checkRequired(file, current)
      open.pop()
      current = open[open.length - 1] ?? root
    } else {
      if (!open.some((block) => block.shape.values.includes(name))) throw unknown(file, tag, open)
      current.nodes.push({ kind: 'value', name })
    }
  }
  pushText(current, source.slice(at))
  if (open.length > 1) throw broken(file, `{{#${current.name}}} is not closed`)
  if (/\{{3}|\}{3}/.test(source) || /\{\{|\}\}/.test(source.replace(TAG, ' ')))
    throw broken(file, 'a placeholder is not written as {{name}}')
  checkRequired(file, root)
  return root.nodes
}

const pushText = (block: OpenBlock, text: string): void => {
  if (text.length > 0) block.nodes.push({ kind: 'text', text })
}

const findShape = (open: readonly OpenBlock[], name: string): TemplateShape | null =>
  open
    .map(({ shape: { blocks = {} } }) => (Object.hasOwn(blocks, name) ? blocks[name] : undefined))
    .findLast((shape) => shape !== undefined) ?? null

function checkRequired(file: string, block: OpenBlock): void {
  for (const name of block.shape.required ?? []) {
    if (!holds(block.nodes, name)) {
      const place = block.name === '' ? '' : ` inside {{#${block.name}}}`
      throw broken(file, `the placeholder {{${name}}}${place} is missing`)
    }
  }
}

const holds = (nodes: readonly Node[], name: string): boolean =>
  nodes.some(
    (node) =>
      node.kind !== 'text' && (node.name === name || (node.kind === 'block' && holds(node.nodes, name))),
  )

function unknown(file: string, tag: string, open: readonly OpenBlock[]): Fault {
  const known = open.flatMap(({ shape }) => [
    ...shape.values,
    ...Object.keys(shape.blocks ?? {}).map((name) => `#${name}`),
  ])
  return broken(file, `unknown placeholder ${tag}; known here: ${known.join(', ')}`)
}

const broken = (file: string, what: string): Fault => new Fault('configuration', `${file}: ${what}`)

function renderNodes(
  nodes: readonly Node[],
  scopes: readonly TemplateValues[],
  protect: (text: string) => string,
): string {
  let out = ''
  for (const node of nodes) {
    if (node.kind === 'text') {
      out += node.text
      continue
    }
    const value = scopes.findLast((scope) => Object.hasOwn(scope, node.name))?.[node.name]
    if (node.kind === 'block') {
      const entries = Array.isArray(value) ? value : []
      for (const entry of entries) out += renderNodes(node.nodes, [...scopes, entry], protect)
    } else if (typeof value === 'string') out += protect(value)
    else if (value !== undefined && 'markup' in value) out += isMarkup(value) ? value.markup : ''
  }
  return out
}

const isMarkup = (value: object): value is Markup => 'markup' in value && typeof value.markup === 'string'
