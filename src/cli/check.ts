// `check`: is this configuration valid, and does it name what exists?
import { problemText } from '../config/explain.ts'
import { configurationFile, loadConfiguration } from '../config/load.ts'
import type { Command } from './command.ts'
import { EXIT } from './exit-code.ts'
import { countText, printJson } from './output.ts'

export const check: Command = {
  words: ['check'],
  summary: 'check a configuration and the files it names; starts nothing',
  positionals: [],
  options: [],
  examples: ['check --config /etc/secure-transport/secure-transport.yaml', 'check --json'],
  async run(call) {
    const file = configurationFile(call.text('config'))
    const { kind, problems } = loadConfiguration(file)
    if (call.has('json')) {
      printJson(call.terminal, { file, valid: kind === 'ok', problems })
    } else {
      for (const problem of problems) call.terminal.err(problemText(file, problem))
      const warnings = problems.filter(({ severity }) => severity === 'warning').length
      const more = warnings === 0 ? '' : `, ${countText(warnings, 'warning', 'warnings')}`
      if (kind === 'ok') call.terminal.out(`${file}: valid${more}`)
    }
    return kind === 'ok' ? EXIT.ok : EXIT.configuration
  },
}
