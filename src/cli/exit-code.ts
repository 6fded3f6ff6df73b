// What an exit code means; the same for every command, and part of the interface (`docs/cli.md`).
import { Fault, faultText } from '../runtime/fault.ts'

export const EXIT = {
  ok: 0,
  /** The operation was refused or found nothing to do. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The configuration is invalid. */
  configuration: 3,
  /** The store cannot be opened or does not answer. */
  store: 4,
  /** Something that must not happen did (EX_SOFTWARE of sysexits.h). */
  software: 70,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Lines for help texts. */
export const EXIT_CODE_HELP = `  0  done
  1  refused, or nothing found to do it to
  2  the command line is wrong
  3  the configuration is invalid
  4  the store cannot be opened or does not answer
  70 a fault in the program; please report it`

/** Exit code and text for what a command threw. */
export function explainThrown(thrown: unknown): { code: ExitCode; text: string } {
  const text = faultText(thrown)
  if (!(thrown instanceof Fault)) return { code: EXIT.software, text: `fault: ${text}` }
  switch (thrown.code) {
    case 'usage':
      return { code: EXIT.usage, text }
    case 'configuration':
      return { code: EXIT.configuration, text }
    case 'store-unavailable':
    case 'store-full':
    case 'spool-unreadable':
    case 'deadline-exceeded':
      return { code: EXIT.store, text }
    case 'internal':
      return { code: EXIT.software, text: `fault: ${text}` }
    default:
      return thrown.code satisfies never
  }
}
