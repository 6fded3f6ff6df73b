// From an argument list to an exit code: finds the command, answers `--help`, runs it. One of the four places
// that catch faults.
import { accountAdd, accountChange, accountList, accountRemove } from './account.ts'
import { check } from './check.ts'
import { type Command, parseCall } from './command.ts'
import { demo } from './demo.ts'
import { events } from './events.ts'
import { EXIT, type ExitCode, explainThrown } from './exit-code.ts'
import { commandHelp, PROGRAM, programHelp } from './help.ts'
import { keyGenerate, keyStatus } from './key.ts'
import type { Host, Ports, Terminal } from './ports.ts'
import { queueList, queueShow } from './queue.ts'
import { queueDrop, queueHold, queueMove, queueRelease, queueRetry } from './queue-change.ts'
import { serve } from './serve.ts'
import { start } from './start.ts'

export const COMMANDS: readonly Command[] = [
  start,
  demo,
  serve,
  check,
  accountAdd,
  accountChange,
  accountList,
  accountRemove,
  queueList,
  queueShow,
  queueRetry,
  queueHold,
  queueRelease,
  queueDrop,
  queueMove,
  keyStatus,
  keyGenerate,
  events,
]

interface Surroundings {
  readonly terminal: Terminal
  readonly ports: Ports
  readonly host: Host
}

/** Runs what `words` (without node and script) ask for. Never rejects. */
export async function runProgram(
  words: readonly string[],
  { terminal, ports, host }: Surroundings,
): Promise<ExitCode> {
  if (words.length === 0 || words[0] === '--help' || words[0] === 'help') {
    terminal.out(programHelp(COMMANDS))
    return words.length === 0 ? EXIT.usage : EXIT.ok
  }
  const command = COMMANDS.find((candidate) => candidate.words.every((word, index) => words[index] === word))
  if (command === undefined) return unknownCommand(words, terminal)
  try {
    const call = parseCall(command, words.slice(command.words.length))
    if (call.has('help')) {
      terminal.out(commandHelp(command))
      return EXIT.ok
    }
    return await command.run({ ...call, terminal, ports, host })
  } catch (thrown) {
    const { code, text } = explainThrown(thrown)
    terminal.err(`${PROGRAM}: ${text}`)
    if (code === EXIT.usage) terminal.err(`Try "${PROGRAM} ${command.words.join(' ')} --help".`)
    return code
  }
}

/** A group's name alone (`queue`) lists its commands. */
function unknownCommand(words: readonly string[], terminal: Terminal): ExitCode {
  const group = COMMANDS.filter((command) => command.words[0] === words[0])
  if (group.length > 0) {
    const isHelp = words[1] === '--help'
    const text = programHelp(group)
    if (isHelp) terminal.out(text)
    else terminal.err(text)
    return isHelp ? EXIT.ok : EXIT.usage
  }
  terminal.err(`${PROGRAM}: there is no command "${words[0] ?? ''}"`)
  terminal.err(`Try "${PROGRAM} --help".`)
  return EXIT.usage
}
