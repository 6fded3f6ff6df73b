// Help texts, made from the commands themselves.
import { COMMON_OPTIONS, type Command, type Option } from './command.ts'
import { EXIT_CODE_HELP } from './exit-code.ts'

export const PROGRAM = 'secure-transport'

/** `secure-transport --help`. */
export function programHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ words }) => words.join(' ').length))
  const lines = commands.map(({ words, summary }) => `  ${words.join(' ').padEnd(width)}  ${summary}`)
  return [
    `Usage: ${PROGRAM} COMMAND [OPTIONS]`,
    '',
    'An SMTP relay that delivers only over TLS.',
    '',
    'Commands:',
    ...lines,
    '',
    `${PROGRAM} COMMAND --help tells more about a command.`,
    '',
    'Exit codes:',
    EXIT_CODE_HELP,
  ].join('\n')
}

/** `secure-transport COMMAND --help`. */
export function commandHelp(command: Command): string {
  const usage = [PROGRAM, ...command.words, ...command.positionals, '[OPTIONS]'].join(' ')
  return [
    `Usage: ${usage}`,
    '',
    `${command.summary[0]?.toUpperCase() ?? ''}${command.summary.slice(1)}.`,
    '',
    'Options:',
    ...optionLines([...command.options, ...COMMON_OPTIONS]),
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${PROGRAM} ${example}`),
    '',
    'Exit codes:',
    EXIT_CODE_HELP,
  ].join('\n')
}

function optionLines(options: readonly Option[]): string[] {
  const names = options.map(({ name, value }) => `--${name}${value === undefined ? '' : ` ${value}`}`)
  const width = Math.max(...names.map((name) => name.length))
  return options.map(({ help }, index) => `  ${(names[index] ?? '').padEnd(width)}  ${help}`)
}
