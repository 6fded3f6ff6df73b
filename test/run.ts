// `npm test`: brings what the tests need, then checks types, style and behaviour, and says at the end what
// passed, what failed and what was left out, each by name. Exit code 0 means that all of it is green.
//   --fast   only what needs nothing but Node: no packages, no test/interop, no test/crash, no PostgreSQL
// Tests with real daemons meet real time: a file that fails among others is run once more, alone, and named when
// only that was green. What fails twice is red.
import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import { canInstall, installPackages, missingPackages } from './support/debian.ts'
import { type PartName, parts } from './support/packages.ts'
import { requirePart } from './support/parts.ts'

const root = join(import.meta.dirname, '..')
const CHECK_LIMIT_MS = 10 * 60_000
const FILE_LIMIT_MS = 6 * 60_000
const AT_ONCE = 2
/** Folders, and beginnings of file names. */
const SLOW_ROOMS = ['test/interop/', 'test/crash/', 'test/contract/postgres', 'test/store/postgres']
/** More failed files than these are no accident of timing. */
const SECOND_TRIES_MAX = 3

interface Step {
  readonly name: string
  readonly green: boolean
  /** One line for the summary. */
  readonly result: string
  /** More lines, indented below it. */
  readonly details: readonly string[]
}

const { values } = parseArgs({ options: { fast: { type: 'boolean', default: false } } })
const steps: Step[] = []
if (!existsSync(join(root, 'node_modules/.bin/tsc'))) steps.push(command('modules', 'npm', ['ci']))
if (!values.fast) steps.push(bringPackages())
steps.push(command('types', join(root, 'node_modules/.bin/tsc'), ['--noEmit', '-p', root]))
steps.push(command('style', join(root, 'node_modules/.bin/biome'), ['check']))
steps.push(await runTests(values.fast))
process.stdout.write(`\n${summary(steps)}`)
process.exitCode = steps.every(({ green }) => green) ? 0 : 1

/** Installs what is missing where that is possible; elsewhere says which parts, and so which tests, are left out. */
function bringPackages(): Step {
  const missing = canInstall() ? missingPackages() : []
  const installed = missing.length === 0 || installPackages(missing)
  const absent = Object.keys(parts)
    .filter(isPartName)
    .map((name) => ({ name, reason: absence(name) }))
    .filter(({ reason }) => reason !== null)
  return {
    name: 'packages',
    green: installed && (process.env['CI'] !== 'true' || absent.length === 0),
    result: !installed
      ? `could not install ${missing.join(' ')}`
      : missing.length > 0
        ? `installed ${missing.join(' ')}`
        : absent.length > 0
          ? 'not brought: that needs Debian and root'
          : 'all there',
    details: absent.map(({ name, reason }) => `tests with ${name} are left out: ${reason}`),
  }
}

function isPartName(name: string): name is PartName {
  return Object.hasOwn(parts, name)
}

function absence(name: PartName): string | null {
  try {
    return requirePart(name).skip || null
  } catch (error) {
    return error instanceof Error ? error.message : String(error) // CI: the tests fail with the same words
  }
}

function command(name: string, program: string, args: readonly string[]): Step {
  const started = performance.now()
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', timeout: CHECK_LIMIT_MS })
  return {
    name,
    green: status === 0,
    result: `${status === 0 ? 'ok' : 'FAILED'}, ${seconds(started)}`,
    details: [],
  }
}

interface Outcome {
  readonly passed: number
  readonly failed: readonly string[]
  readonly failedFiles: readonly string[]
  readonly skipped: readonly string[]
  readonly green: boolean
}

/** All test files, two at once, each in a process of its own; the usual report goes to the terminal meanwhile. */
async function runTests(fast: boolean): Promise<Step> {
  const files = globSync('test/**/*.test.ts', { cwd: root })
    .filter((file) => !fast || !SLOW_ROOMS.some((room) => file.startsWith(room)))
    .sort()
    .map((file) => join(root, file))
  const started = performance.now()
  const first = await runFiles(files, AT_ONCE)
  const mayRepeat =
    !first.green && first.failedFiles.length > 0 && first.failedFiles.length <= SECOND_TRIES_MAX
  const second = mayRepeat ? await runFiles(first.failedFiles, 1) : null
  const green = first.green || second?.green === true
  const passed = first.passed + (second?.green ? first.failed.length : 0)
  const failed = green ? [] : first.failed
  const repeated = second?.green
    ? first.failedFiles.map((file) => `green at the second try, alone: ${relative(root, file)}`)
    : []
  return {
    name: 'tests',
    green,
    result: `${passed} passed, ${failed.length} failed, ${first.skipped.length} left out, ${seconds(started)}`,
    details: [...failed, ...repeated, ...first.skipped.map((test) => `left out: ${test}`)],
  }
}

async function runFiles(files: readonly string[], atOnce: number): Promise<Outcome> {
  const failed: string[] = []
  const failedFiles = new Set<string>()
  const skipped: string[] = []
  let passed = 0
  let success = false
  const place = (file: string | undefined): string => (file === undefined ? '' : `${relative(root, file)}: `)
  const stream = run({ files: [...files], concurrency: atOnce, timeout: FILE_LIMIT_MS })
  stream.on('test:pass', ({ name, skip, todo, details, file }) => {
    const reason = skip ?? todo
    if (reason !== undefined && reason !== false) skipped.push(`${place(file)}${name} (${reason})`)
    else if (details.type !== 'suite') passed++
  })
  stream.on('test:fail', ({ name, details, file }) => {
    // A suite fails with each of its tests; by itself only when one of its hooks does.
    if ('failureType' in details.error && details.error.failureType === 'subtestsFailed') return
    failed.push(`FAILED ${place(file)}${name}`)
    failedFiles.add(file ?? name)
  })
  stream.on('test:summary', (data) => {
    if (data.file === undefined) success = data.success
  })
  for await (const text of stream.compose(new spec())) process.stdout.write(text)
  return {
    passed,
    failed,
    failedFiles: [...failedFiles],
    skipped,
    green: success && failed.length === 0 && passed > 0,
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

function summary(done: readonly Step[]): string {
  return done
    .map(({ name, green, result, details }) =>
      [`${green ? '✔' : '✖'} ${name.padEnd(9)} ${result}`, ...details.map((line) => `    ${line}`)].join(
        '\n',
      ),
    )
    .join('\n')
    .concat('\n')
}
