import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { EXIT, explainThrown } from '../../src/cli/exit-code.ts'
import { COMMANDS, runProgram } from '../../src/cli/program.ts'
import { relayPorts } from '../../src/cli/relay-ports.ts'
import { Fault, type FaultCode } from '../../src/runtime/fault.ts'
import { CONFIGURATION, createConsole } from './console.ts'

const silent = { readInput: async () => '', err: () => {}, progress: () => {} }

async function help(words: readonly string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = []
  const terminal = { ...silent, out: (line: string) => void lines.push(`${line}\n`) }
  const host = { on: () => {}, off: () => {}, exit: () => assert.fail('exit') }
  const code = await runProgram(words, { terminal, ports: relayPorts, host })
  return { code, text: lines.join('') }
}

test('O3: --help lists every command and the exit codes', async () => {
  const { code, text } = await help(['--help'])
  assert.equal(code, EXIT.ok)
  for (const { words, summary } of COMMANDS)
    assert.ok(text.includes(`${words.join(' ')} `) && text.includes(summary))
  for (const exit of Object.values(EXIT)) assert.match(text, new RegExp(`^ {2}${exit} `, 'm'))
})

test('O3: --help of a command shows usage, every option, and examples that parse', async () => {
  assert.equal(
    (await help(['queue', 'hold', '--help'])).text,
    `Usage: secure-transport queue hold [ID[:INDEX]] [OPTIONS]

Put waiting deliveries aside: no attempt until they are released; their lifetime runs on.

Options:
  --domain DOMAIN               only recipients of this domain
  --customer NAME               only mail of this customer
  --older-than DURATION         only mail accepted at least so long ago, e.g. 4h
  --cause CAUSE                 only with this cause of the last failure, e.g. connection-trouble
  --status waiting|active|held  only in this state
  --all                         every delivery; needed when nothing else is given
  --config FILE                 configuration; default $SECURE_TRANSPORT_CONFIG or config/secure-transport.yaml
  --json                        print JSON for programs
  --help                        print this text

Examples:
  secure-transport queue hold 01k9x0c2m3n4p5q6r7:0
  secure-transport queue hold --customer 'Kanzlei Muster'

Exit codes:
  0  done
  1  refused, or nothing found to do it to
  2  the command line is wrong
  3  the configuration is invalid
  4  the store cannot be opened or does not answer
  70 a fault in the program; please report it
`,
  )
  for (const { words } of COMMANDS) assert.equal((await help([...words, '--help'])).code, EXIT.ok)
})

const misuses: readonly [string[], string[]][] = [
  [['frobnicate'], ['secure-transport: there is no command "frobnicate"', 'Try "secure-transport --help".']],
  [
    ['check', '--jsn'],
    ["secure-transport: Unknown option '--jsn'", 'Try "secure-transport check --help".'],
  ],
  [
    ['check', 'now'],
    ['secure-transport: "now" is one word too many', 'Try "secure-transport check --help".'],
  ],
  [
    ['account', 'remove'],
    ['secure-transport: NAME is missing', 'Try "secure-transport account remove --help".'],
  ],
  [
    ['queue', 'list', '--limit', '0'],
    [
      'secure-transport: --limit: "0" is not a number from 1 to 100000',
      'Try "secure-transport queue list --help".',
    ],
  ],
  [
    ['queue', 'list', '--domain', 'a b'],
    [
      'secure-transport: --domain: "a b" is not a domain such as example.org',
      'Try "secure-transport queue list --help".',
    ],
  ],
  [
    ['queue', 'retry'],
    [
      'secure-transport: say which: a message id, a filter such as --domain, or --all',
      'Try "secure-transport queue retry --help".',
    ],
  ],
  [
    ['queue', 'retry', '../../etc/passwd'],
    [
      'secure-transport: "../../etc/passwd" is not a message id such as 01k9x0c2m3n4p5q6r7',
      'Try "secure-transport queue retry --help".',
    ],
  ],
  [
    ['queue', 'drop', '--all', '--domain', 'a.example'],
    [
      'secure-transport: --all stands alone, without id and filters',
      'Try "secure-transport queue drop --help".',
    ],
  ],
  [
    ['queue', 'hold', '01k9x0c2m3n4p5q6r7:x'],
    [
      'secure-transport: "01k9x0c2m3n4p5q6r7:x" is not a message id such as 01k9x0c2m3n4p5q6r7',
      'Try "secure-transport queue hold --help".',
    ],
  ],
  [
    ['queue', 'list', '--older-than', 'long'],
    [
      'secure-transport: --older-than: "long" is not a duration such as 4h',
      'Try "secure-transport queue list --help".',
    ],
  ],
  [
    ['queue', 'list', '--status', 'gone'],
    [
      'secure-transport: --status: "gone" is none of waiting, active, held',
      'Try "secure-transport queue list --help".',
    ],
  ],
  [
    ['queue', 'move', '--all'],
    ['secure-transport: give either --to or --undo', 'Try "secure-transport queue move --help".'],
  ],
  [
    ['queue', 'move', '--all', '--undo', '--to', 'a.example:25'],
    ['secure-transport: give either --to or --undo', 'Try "secure-transport queue move --help".'],
  ],
  [
    ['queue', 'move', '--all', '--to', 'a.example:0'],
    [
      'secure-transport: --to: "a.example:0" is not a host such as mx.example.org:25, 192.0.2.1:25 or [2001:db8::1]:25',
      'Try "secure-transport queue move --help".',
    ],
  ],
  [
    ['queue', 'show'],
    ['secure-transport: ID is missing', 'Try "secure-transport queue show --help".'],
  ],
  [
    ['queue', 'show', '01k9x0c2m3n4p5q6r7:0'],
    [
      'secure-transport: "01k9x0c2m3n4p5q6r7:0" is not a message id such as 01k9x0c2m3n4p5q6r7',
      'Try "secure-transport queue show --help".',
    ],
  ],
  [
    ['events', '--since', 'yesterday'],
    [
      'secure-transport: --since: "yesterday" is not a duration such as 24h',
      'Try "secure-transport events --help".',
    ],
  ],
  [
    ['serve', '--drain-limit', '8'],
    [
      'secure-transport: --drain-limit: "8" is not a duration such as 30s',
      'Try "secure-transport serve --help".',
    ],
  ],
  [
    ['account', 'add', 'x', '--login', 'y'],
    [
      'secure-transport: give either --password-stdin or --generate-password',
      'Try "secure-transport account add --help".',
    ],
  ],
  [
    ['account', 'change', 'x'],
    [
      'secure-transport: nothing to change: give --domain, --address, --cleartext, --null-sender or --login',
      'Try "secure-transport account change --help".',
    ],
  ],
]
for (const [words, expected] of misuses) {
  test(`O3: "${words.join(' ')}" ends with 2 and says why`, async (context) => {
    const console = createConsole(context)
    assert.equal(await console.run(words), EXIT.usage)
    assert.deepEqual(console.err, expected)
    assert.deepEqual(console.out, [])
  })
}

const faults: readonly [FaultCode | 'other', number][] = [
  ['usage', 2],
  ['configuration', 3],
  ['store-unavailable', 4],
  ['store-full', 4],
  ['deadline-exceeded', 4],
  ['internal', 70],
  ['other', 70],
]
for (const [code, exit] of faults) {
  test(`O3: a fault "${code}" ends with ${exit}`, () => {
    const thrown = code === 'other' ? new TypeError('x is not a function') : new Fault(code, 'what happened')
    assert.equal(explainThrown(thrown).code, exit)
  })
}

test('O3: a store that cannot be opened ends with 4', async (context) => {
  const console = createConsole(context, {
    openFault: new Fault('store-unavailable', 'data: permission denied'),
  })
  assert.equal(await console.run(['queue', 'list']), EXIT.store)
  assert.deepEqual(console.err, ['secure-transport: data: permission denied'])
})

test('O6: check names the faults and ends with 3', async (context) => {
  const console = createConsole(context)
  writeFileSync(console.configFile, `${CONFIGURATION}delivery: { prt: 25 }\n`)
  assert.equal(await console.run(['check']), EXIT.configuration)
  assert.deepEqual(console.out, [])
  assert.deepEqual(console.err, [
    `${console.configFile}:5: delivery.prt: unknown key; did you mean delivery.port?`,
  ])
  assert.equal(await console.run(['check', '--json']), EXIT.configuration)
  assert.deepEqual(JSON.parse(console.out.join('\n')), {
    file: console.configFile,
    valid: false,
    problems: [
      {
        severity: 'error',
        line: 5,
        key: 'delivery.prt',
        text: 'unknown key; did you mean delivery.port?',
      },
    ],
  })
})

test('O6: check counts warnings and ends with 0', async (context) => {
  const console = createConsole(context)
  writeFileSync(console.configFile, `${CONFIGURATION}delivery: { port: 2525 }\nscanner: { kind: none }\n`)
  assert.equal(await console.run(['check']), EXIT.ok)
  assert.match(console.out.join('\n'), /^.*test\.yaml: valid, [345] warnings$/)
})

for (const words of [['serve'], ['account', 'list'], ['queue', 'list'], ['events']]) {
  test(`O6: "${words.join(' ')}" with an invalid configuration ends with 3`, async (context) => {
    const console = createConsole(context)
    writeFileSync(console.configFile, '')
    assert.equal(await console.run(words), EXIT.configuration)
    assert.deepEqual(console.err, [
      `${console.configFile}: hostname: is missing; needed: a host name such as mail.example.org`,
      `${console.configFile}: certificates: is missing; needed: a list of sections (chain, key)`,
    ])
  })
}
