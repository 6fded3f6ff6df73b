// The configuration and the stores for a command: problems are printed, faults become exit codes elsewhere.
import { problemText } from '../config/explain.ts'
import { configurationFile, loadConfiguration } from '../config/load.ts'
import type { Configuration } from '../config/schema.ts'
import type { Call } from './command.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import type { Operations } from './ports.ts'

/**
 * The configuration that the command line asks for. Errors are printed and yield `null`; warnings are
 * printed when `withWarnings`.
 */
export function readConfiguration(call: Call, withWarnings: boolean): Configuration | null {
  const file = configurationFile(call.text('config'))
  const loaded = loadConfiguration(file)
  for (const problem of loaded.problems) {
    if (problem.severity === 'error' || withWarnings) call.terminal.err(problemText(file, problem))
  }
  return loaded.kind === 'ok' ? loaded.configuration : null
}

/** Runs `operate` on the stores of the configured data directory and closes them, whatever happens. */
export async function withOperations(
  call: Call,
  operate: (operations: Operations, configuration: Configuration) => Promise<ExitCode>,
): Promise<ExitCode> {
  const configuration = readConfiguration(call, false)
  if (configuration === null) return EXIT.configuration
  const operations = await call.ports.openOperations(configuration)
  try {
    return await operate(operations, configuration)
  } finally {
    await operations.close()
  }
}
