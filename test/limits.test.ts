// Rules that no linter knows: size of files, casts, ambient time and environment.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const sources = globSync('src/**/*.ts', { cwd: root })
  .toSorted()
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

const LINES_MAX = 400

/** Casts that are meant, by file: how many, and why. Brands are made by their one parser. */
const CASTS: Readonly<Record<string, number>> = {
  'src/smtp/domain.ts': 2, // brand: parseDomain, in its two ways out
  'src/smtp/enhanced-status.ts': 2, // template literal type, made from a match
  'src/runtime/random.ts': 2, // indices within the array's bounds
  'src/config/schema.ts': 1, // zod's type of a JSON Schema
  'src/store/sqlite/thread.ts': 1, // the worker's answer belongs to the request of its id
  'src/store/sqlite/admin.ts': 1, // the same, within one process
  'src/store/sqlite/writer/group-commit.ts': 1, // a handler takes what its operation names
}

/** Folders and adapters that may read time, timers, chance and environment. */
const AMBIENT_ALLOWED = [
  'src/runtime/',
  'src/config/',
  'src/store/',
  // setImmediate only: replies of one read leave in one write.
  'src/submission/wire/connection.ts',
]
const AMBIENT =
  /\b(?:Date\.now|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|randomBytes|randomUUID|process\.env|process\.hrtime)\b|\bnew Date\(\)/

/** Offsets of type assertions: `as X` that type stripping takes away. `as const` is no assertion. */
function castOffsets(text: string): number[] {
  const stripped = stripTypeScriptTypes(text, { mode: 'strip' })
  return [...text.matchAll(/\bas\s+(?!const\b)/g)]
    .map(({ index }) => index)
    .filter((index) => stripped.slice(index, index + 2).trim() === '')
    .filter((index) => !isWithinImport(text, index) && !isWithinComment(text, index))
}

const isWithinComment = (text: string, index: number): boolean =>
  /^\s*(?:\/?\*|\/\/)|\s\/\/ |\/\*\*? /.test(text.slice(text.lastIndexOf('\n', index) + 1, index))

/** A renaming in `import type { a as b }`, which is stripped too. */
const isWithinImport = (text: string, index: number): boolean =>
  /^(?:import|export)\b[^;'"]*$/.test(
    text.slice(Math.max(0, text.lastIndexOf('\nimport ', index) + 1), index),
  )

const lineOf = (text: string, index: number): number => text.slice(0, index).split('\n').length

/** Code lines with their number; comments and empty lines are left out. */
const codeLines = (text: string): { line: string; number: number }[] =>
  text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '' && !/^\s*(?:\/\/|\/?\*)/.test(line))

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const long = [...sources, ...testFiles()].filter(
    ({ text }) => text.trimEnd().split('\n').length > LINES_MAX,
  )
  assert.deepEqual(
    long.map(({ file }) => file),
    [],
  )
})

const testFiles = () =>
  globSync('test/**/*.ts', { cwd: root }).map((file) => ({
    file,
    text: readFileSync(join(root, file), 'utf8'),
  }))

test('there is no type assertion but the listed ones', () => {
  const wrong = sources.flatMap(({ file, text }) => {
    const offsets = castOffsets(text)
    if (offsets.length <= (CASTS[file] ?? 0)) return []
    return offsets.map((offset) => `${file}:${lineOf(text, offset)}`)
  })
  assert.deepEqual(wrong, [])
})

test('the list of type assertions names none that is gone', () => {
  const gone = Object.entries(CASTS).filter(([file, count]) => {
    const source = sources.find((candidate) => candidate.file === file)
    return source === undefined || castOffsets(source.text).length < count
  })
  assert.deepEqual(gone, [])
})

test('type assertions are found', () => {
  assert.equal(
    castOffsets("import type { a as b } from './x.ts'\nconst x = [1] as const\n// as is").length,
    0,
  )
  assert.equal(castOffsets("const x = 'such as this'").length, 0)
  assert.equal(castOffsets('interface X {\n  /** As such as that. */\n  y: 1 // as is\n}').length, 0)
  assert.equal(castOffsets('const x = y as unknown as string').length, 2)
})

test('time, timers, chance and environment are ambient only where they may be', () => {
  const wrong = sources.flatMap(({ file, text }) =>
    AMBIENT_ALLOWED.some((allowed) => file.startsWith(allowed))
      ? []
      : codeLines(text)
          .filter(({ line }) => AMBIENT.test(line))
          .map(({ number }) => `${file}:${number}`),
  )
  assert.deepEqual(wrong, [])
})

test('nothing switches the type checker or the linter off without saying why', () => {
  const wrong = sources.flatMap(({ file, text }) =>
    text
      .split('\n')
      .map((line, index) => ({ line, place: `${file}:${index + 1}` }))
      .filter(({ line }) =>
        /@ts-(?:ignore|nocheck|expect-error)|biome-ignore [^:]*$|biome-ignore [^:]*:\s*$/.test(line),
      )
      .map(({ place }) => place),
  )
  assert.deepEqual(wrong, [])
})

test('every source file begins with what it is responsible for', () => {
  const wrong = sources.filter(({ text }) => !/^(?:#![^\n]*\n)?\/\/ \S/.test(text)).map(({ file }) => file)
  assert.deepEqual(wrong, [])
})

test('there are no TODOs without an issue and no names of this or that machine', () => {
  const wrong = sources
    .filter(({ text }) => /\b(?:TODO|FIXME|XXX)\b(?!.*issue)/.test(text))
    .map(({ file }) => file)
  assert.deepEqual(wrong, [])
})
