#!/usr/bin/env node
// The program: hands the argument list and the process to the command line (`cli/program.ts`), nothing else.
import { hostProcess, processTerminal } from './cli/process.ts'
import { runProgram } from './cli/program.ts'
import { relayPorts } from './cli/relay-ports.ts'

const code = await runProgram(process.argv.slice(2), {
  terminal: processTerminal(process),
  ports: relayPorts,
  host: hostProcess(process),
})
process.exitCode = code
