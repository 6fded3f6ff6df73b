// Documents that are made from the code are current, and those written by hand name what exists.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { COMMON_OPTIONS } from '../src/cli/command.ts'
import { EXIT } from '../src/cli/exit-code.ts'
import { COMMANDS } from '../src/cli/program.ts'
import { GENERATED_FILES } from '../src/config/generate.ts'
import { allowedText, listKeys } from '../src/config/reference.ts'
import { configurationNode, PATH_KEYS, SECRET_KEYS } from '../src/config/schema.ts'
import { EVENTS } from '../src/observability/events.ts'
import { REPLIES } from '../src/smtp/replies.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

for (const [path, make] of Object.entries(GENERATED_FILES)) {
  test(`${path} is current (npm run generate)`, () => {
    const [current, expected] = [read(path), make()]
    if (current !== expected) assert.equal(current, expected)
  })
}

const keys = listKeys(configurationNode())

test('O6: every key has a description, a default or is required, and says what is allowed', () => {
  for (const { path, node } of keys) {
    assert.match(node.description ?? '', /^\S.*[.)]$/s, `${path} has a description that is a sentence`)
    assert.notEqual(allowedText(node), '', path)
  }
  assert.ok(keys.length > 60)
})

test('O6: every key says whether a reload takes it over', () => {
  const silent = keys.filter(({ path, node, isSection }) => {
    if (isSection) return false
    const around = keys.filter((key) => key.isSection && path.startsWith(key.path))
    return node.reload === undefined && around.every((key) => key.node.reload === undefined)
  })
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  )
})

test('O6: the lists of paths and secrets name keys that exist', () => {
  const names = keys.flatMap(({ path }) => [path, `${path}[]`])
  assert.deepEqual(
    [...PATH_KEYS, ...SECRET_KEYS].filter((key) => !names.includes(key)),
    [],
  )
})

test('O6: keys whose description speaks of a file or directory are in the list of paths', () => {
  const missed = keys.filter(({ path, node, isSection }) => {
    if (isSection || !/^(?:PEM )?(?:file|director(?:y|ies)|Files?) /i.test(node.description ?? ''))
      return false
    return !PATH_KEYS.includes(path) && !PATH_KEYS.includes(`${path}[]`)
  })
  assert.deepEqual(
    missed.map(({ path }) => path),
    [],
  )
})

test('O6: the JSON Schema is one that editors take', () => {
  const schema = JSON.parse(read('config/schema.json'))
  assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    for (const [name, value] of Object.entries(node)) {
      if (name === 'minimum' || name === 'maximum') assert.equal(typeof value, 'number')
      if (name === 'unit' || name === 'reload' || name === 'example')
        assert.notEqual(typeof value, 'string', name)
      walk(value)
    }
  }
  walk(schema)
})

test('O3: docs/cli.md names every command, option and exit code', () => {
  const manual = read('docs/cli.md')
  for (const { words, options, positionals } of COMMANDS) {
    assert.ok(manual.includes(`\`${[...words, ...positionals].join(' ')}\``), words.join(' '))
    for (const { name } of options) assert.ok(manual.includes(`--${name}`), `${words.join(' ')} --${name}`)
  }
  for (const { name } of COMMON_OPTIONS) assert.ok(manual.includes(`--${name}`), name)
  for (const code of Object.values(EXIT)) assert.match(manual, new RegExp(`^\\| ${code} \\|`, 'm'))
})

test('S11: every reply has a code and an enhanced code of the same class, and a helpful sentence', () => {
  for (const [id, { code, enhanced, text, advice }] of Object.entries(REPLIES)) {
    assert.equal(enhanced[0], code === 354 ? '3' : String(code)[0], id)
    assert.match(id, /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/)
    assert.ok(text.length > 1 && text.length < 400, id)
    assert.ok(advice.length > 0 || code < 400, id)
  }
})

test('A3: no log event has a field for a subject, a body, a password or a header', () => {
  for (const [name, { fields }] of Object.entries(EVENTS)) {
    const forbidden = fields.filter((field) => /subject|body|password|header|secret|content/i.test(field))
    assert.deepEqual(forbidden, [], name)
  }
})

test('every event in use stands in the catalogue, and every event of the catalogue is used', () => {
  const code = globSync('src/**/*.ts', { cwd: root })
    .filter(
      (file) => !file.endsWith('observability/events.ts') && !file.endsWith('observability/event-metrics.ts'),
    )
    .map(read)
    .join('\n')
  const unused = Object.keys(EVENTS).filter((name) => !code.includes(`'${name}'`))
  assert.deepEqual(unused, [])
})

test('every reply of the catalogue is used', () => {
  const code = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('smtp/replies.ts'))
    .map(read)
    .join('\n')
  const unused = Object.keys(REPLIES).filter((id) => !code.includes(`'${id}'`))
  assert.deepEqual(unused, [])
})

/** Rows of the product that exist so far; each later issue adds its own. */
const ROWS =
  'S1 S2 S3 S4 S5 S6 S10 S11 M1 M2 M3 M4 M5 M6 T1 T2 T7 T8 T9 N1 N2 N4 N5 A3 A4 O1 O2 O3 O5 O6'.split(' ')

test('every product row that is built has a test that names it', () => {
  const tests = globSync('test/**/*.test.ts', { cwd: root }).map(read).join('\n')
  const untested = ROWS.filter((row) => !new RegExp(`['"\`][^'"\`\\n]*\\b${row}\\b[^'"\`\\n]*:`).test(tests))
  assert.deepEqual(untested, [])
})

test('every RFC that the code cites stands in docs/standards.md', () => {
  const listed = new Set(read('docs/standards.md').match(/RFC \d{4}/g))
  const cited = globSync('src/**/*.ts', { cwd: root }).flatMap((file) => read(file).match(/RFC \d{4}/g) ?? [])
  const missing = [...new Set(cited)].filter((rfc) => !listed.has(rfc))
  assert.deepEqual(missing.sort(), [])
})
