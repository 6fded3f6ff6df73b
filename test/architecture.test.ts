// Holds the drawing in ARCHITECTURE.md: who may import whom, what is private, which package lives where.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const files = globSync('src/**/*.ts', { cwd: root }).toSorted()

const BELOW = ['smtp', 'runtime', 'observability']

/** Room → the rooms it may import. `relay.ts` and `main.ts` are rooms of one file. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  runtime: [],
  smtp: ['runtime'],
  message: ['smtp', 'runtime'],
  observability: ['smtp', 'runtime'],
  dns: BELOW,
  scanning: ['runtime', 'observability'],
  accounts: BELOW,
  journal: BELOW,
  queue: ['journal', ...BELOW],
  submission: ['accounts', 'queue', 'journal', 'scanning', 'message', 'dns', ...BELOW],
  delivery: ['queue', 'journal', 'message', 'dns', ...BELOW],
  notification: ['queue', 'journal', 'message', 'dns', ...BELOW],
  store: ['accounts', 'queue', 'journal', ...BELOW],
  // Of the rooms above these only settings.ts, see below.
  config: [
    'smtp',
    'runtime',
    'observability',
    'accounts',
    'submission',
    'message',
    'scanning',
    'dns',
    'delivery',
    'queue',
    'notification',
    'store',
  ],
  trial: ['smtp', 'runtime'],
  cli: ['accounts', 'queue', 'journal', 'config', 'trial', 'relay.ts', ...BELOW],
  'main.ts': ['cli'],
}

/** Package → the rooms that may import it (house style 2: each can be replaced in an afternoon). */
const PACKAGES: Readonly<Record<string, (file: string) => boolean>> = {
  zod: (file) => file.endsWith('/settings.ts') || file.startsWith('src/config/'),
  yaml: (file) => file.startsWith('src/config/'),
  pino: (file) => file.startsWith('src/observability/'),
  'dns-packet': (file) => file.startsWith('src/dns/'),
  libmime: (file) => file.startsWith('src/message/'),
  // The trial plays the client and the recipient: the other end of the wire, with the usual libraries.
  nodemailer: (file) => file.startsWith('src/message/') || file.startsWith('src/trial/'),
  pg: (file) => file.startsWith('src/store/postgres/'),
  'smtp-server': (file) => file.startsWith('src/submission/') || file.startsWith('src/trial/'),
}

/** Built-in modules that reach outside the process, and who may use them. */
const OUTSIDE =
  /^node:(?:fs|fs\/promises|http|https|dgram|dns|dns\/promises|os|child_process|worker_threads|sqlite|cluster)$/
const ADAPTERS = [
  'src/runtime/',
  'src/config/',
  'src/store/',
  'src/trial/',
  'src/cli/demo.ts',
  'src/delivery/security/tls-profile.ts',
  'src/dns/client.ts',
  'src/dns/exchange.ts',
  'src/observability/http.ts',
  'src/submission/listener.ts',
  'src/submission/tls.ts',
  'src/relay.ts',
]

interface Import {
  readonly file: string
  /** What stands between the quotes. */
  readonly specifier: string
  /** Path below the root for a relative one. */
  readonly target: string | null
  readonly isTypeOnly: boolean
}

const IMPORT = /^(?:import|export)\s+(type\s+)?(?:[\w*{},\s]+?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm

const imports: readonly Import[] = files.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(IMPORT)].map(([, type, named, dynamic]) => {
    const specifier = named ?? dynamic ?? ''
    const target = specifier.startsWith('.') ? relative(root, resolve(root, dirname(file), specifier)) : null
    return { file, specifier, target, isTypeOnly: type !== undefined }
  }),
)

const roomOf = (file: string): string => file.split('/')[1] ?? ''
const shown = ({ file, specifier }: Import): string => `${file} imports ${specifier}`

test('each room imports only the rooms that ARCHITECTURE.md allows it', () => {
  const wrong = imports.filter(({ file, target }) => {
    if (target === null || roomOf(file) === roomOf(target) || file === 'src/relay.ts') return false
    return !(MAY_IMPORT[roomOf(file)] ?? []).includes(roomOf(target))
  })
  assert.deepEqual(wrong.map(shown), [])
  assert.ok(imports.length > 200, 'imports are found at all')
})

test('every room stands in the table, and in ARCHITECTURE.md', () => {
  const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const rooms = new Set(files.map(roomOf).filter((room) => room !== 'relay.ts'))
  for (const room of rooms) {
    assert.ok(room in MAY_IMPORT, `${room} is in the table`)
    if (room !== 'main.ts') assert.match(architecture, new RegExp(`\\| \`${room}(?:/sqlite)?\` \\|`), room)
  }
})

test('of the rooms above the vocabulary config imports settings only', () => {
  const catalogues = ['src/observability/events.ts', 'src/observability/metric-catalogue.ts']
  const wrong = imports.filter(({ file, target }) => {
    if (roomOf(file) !== 'config' || target === null) return false
    if (['config', 'smtp', 'runtime'].includes(roomOf(target))) return false
    return !target.endsWith('/settings.ts') && !catalogues.includes(target)
  })
  assert.deepEqual(wrong.map(shown), [])
})

test('sub-folders are private to their room', () => {
  const wrong = imports.filter(({ file, target }) => {
    if (target === null || roomOf(file) === roomOf(target)) return false
    const isStore = file === 'src/relay.ts' && target.startsWith('src/store/')
    return target.split('/').length > (isStore ? 4 : 3)
  })
  assert.deepEqual(wrong.map(shown), [])
})

test('packages are imported where they live, and no others', () => {
  const wrong = imports.filter(({ file, specifier, target }) => {
    if (target !== null || specifier.startsWith('node:')) return false
    const name = specifier.startsWith('@') ? specifier : (specifier.split('/')[0] ?? '')
    return !PACKAGES[name]?.(file)
  })
  assert.deepEqual(wrong.map(shown), [])
})

test('packages of the lockfile that nobody imports are not dependencies', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const used = new Set(imports.map(({ specifier }) => specifier.split('/')[0]))
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !used.has(name)),
    [],
  )
})

test('files, sockets and processes are reached through the listed adapters only', () => {
  const wrong = imports.filter(
    ({ file, specifier, isTypeOnly }) =>
      OUTSIDE.test(specifier) && !isTypeOnly && !ADAPTERS.some((adapter) => file.startsWith(adapter)),
  )
  assert.deepEqual(wrong.map(shown), [])
})

test('relay.ts is imported by the command line only, lazily or for its types', () => {
  const users = imports.filter(({ target }) => target === 'src/relay.ts').map(({ file }) => file)
  assert.deepEqual(
    users.filter((file) => roomOf(file) !== 'cli'),
    [],
  )
})

test('there are no cycles between files', () => {
  const edges = new Map<string, string[]>()
  for (const { file, target, isTypeOnly } of imports) {
    if (target !== null && !isTypeOnly) edges.set(file, [...(edges.get(file) ?? []), target])
  }
  const done = new Set<string>()
  const findCycle = (file: string, path: readonly string[]): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return null
    for (const target of edges.get(file) ?? []) {
      const cycle = findCycle(target, [...path, file])
      if (cycle !== null) return cycle
    }
    done.add(file)
    return null
  }
  for (const file of files) assert.equal(findCycle(file, [])?.join(' → '), undefined)
})

test('there are no barrels and no file names that say nothing', () => {
  const empty = /^(?:index|utils?|helpers?|common|misc|manager|service|base|types)\.ts$/
  assert.deepEqual(
    files.filter((file) => empty.test(file.split('/').at(-1) ?? '')),
    [],
  )
  assert.deepEqual(
    files.filter((file) => !/^[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(file.split('/').at(-1) ?? '')),
    [],
  )
})

test('every room has a README of at most 40 lines', () => {
  for (const room of new Set(files.map(roomOf).filter((name) => !name.endsWith('.ts')))) {
    const lines = readFileSync(join(root, 'src', room, 'README.md'), 'utf8')
      .trimEnd()
      .split('\n').length
    assert.ok(lines <= 40, `src/${room}/README.md has ${lines} lines`)
  }
})
