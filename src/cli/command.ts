// What a command is: its words, options and examples as data, so that parsing and `--help` have one source.
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { Fault } from '../runtime/fault.ts'
import type { ExitCode } from './exit-code.ts'
import type { Host, Ports, Terminal } from './ports.ts'

/** One option. `value` is the word for its value in the help; without one it is a switch. */
export interface Option {
  readonly name: string
  readonly value?: string
  readonly multiple?: boolean
  readonly help: string
}

export interface Command {
  /** The words after the program's name, e.g. `['queue', 'list']`. */
  readonly words: readonly string[]
  readonly summary: string
  /** Words after the command, e.g. `NAME`; `[ID]` may be left out. */
  readonly positionals: readonly string[]
  readonly options: readonly Option[]
  /** Command lines without the program's name. */
  readonly examples: readonly string[]
  run(call: Call): Promise<ExitCode>
}

/** A command line that was understood, with all that the command needs. */
export interface Call {
  readonly positionals: readonly string[]
  /** The value of an option, `undefined` when it was not given. */
  text(name: string): string | undefined
  /** All values of an option that may be repeated. */
  texts(name: string): string[]
  has(name: string): boolean
  readonly terminal: Terminal
  readonly ports: Ports
  readonly host: Host
}

/** Options that every command takes. */
export const COMMON_OPTIONS: readonly Option[] = [
  {
    name: 'config',
    value: 'FILE',
    help: 'configuration; default $SECURE_TRANSPORT_CONFIG or config/secure-transport.yaml',
  },
  { name: 'json', help: 'print JSON for programs' },
  { name: 'help', help: 'print this text' },
]

/** Parses what stands after the command's words. Throws a `usage` fault that says what is wrong. */
export function parseCall(
  command: Command,
  words: readonly string[],
): Omit<Call, 'terminal' | 'ports' | 'host'> {
  const options: ParseArgsOptionsConfig = {}
  for (const { name, value, multiple } of [...command.options, ...COMMON_OPTIONS]) {
    options[name] = { type: value === undefined ? 'boolean' : 'string', multiple: multiple ?? false }
  }
  const { values, positionals } = parse(words, options)
  const needed = command.positionals.filter((name) => !name.startsWith('[')).length
  const { help: isHelp } = values
  if (!isHelp && positionals.length < needed) {
    throw new Fault('usage', `${command.positionals[positionals.length] ?? 'a word'} is missing`)
  }
  if (positionals.length > command.positionals.length) {
    throw new Fault('usage', `"${positionals[command.positionals.length] ?? ''}" is one word too many`)
  }
  return {
    positionals,
    text(name) {
      const value = values[name]
      return typeof value === 'string' ? value : undefined
    },
    texts(name) {
      const value = values[name]
      return Array.isArray(value) ? value.map(String) : []
    },
    has: (name) => values[name] !== undefined,
  }
}

function parse(args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (thrown) {
    // node:util's sentences are good, but the second one explains an escape that nobody needs here.
    const [sentence = ''] = (thrown instanceof Error ? thrown.message : '').split('. ')
    throw new Fault('usage', sentence.replace(/\.$/, ''), { cause: thrown })
  }
}

/** A whole number from an option's text. Throws a `usage` fault. */
export function numberOption(call: Pick<Call, 'text'>, name: string, initial: number, max: number): number {
  const text = call.text(name)
  if (text === undefined) return initial
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= 1 && value <= max))
    throw new Fault('usage', `--${name}: "${text}" is not a number from 1 to ${max}`)
  return value
}

/** `yes` or `no` from an option's text, `undefined` when it was not given. Throws a `usage` fault. */
export function yesNoOption(call: Pick<Call, 'text'>, name: string): boolean | undefined {
  const text = call.text(name)
  if (text === undefined) return undefined
  if (text !== 'yes' && text !== 'no') throw new Fault('usage', `--${name}: "${text}" is neither yes nor no`)
  return text === 'yes'
}
