#!/usr/bin/env node
// The program: hands the argument list and the process to the command line (`cli/program.ts`), nothing else.
import { setFlagsFromString } from 'node:v8'
import { hostProcess, processTerminal } from './cli/process.ts'
import { runProgram } from './cli/program.ts'
import { relayPorts } from './cli/relay-ports.ts'

// V8 would mark its whole heap whenever 64 MB of buffers have come and gone: with large mails ten times a second,
// a third of all CPU time (docs/performance.md). Counted into the heap's own limit they are collected as the rest.
setFlagsFromString('--external-memory-accounted-in-global-limit')

const code = await runProgram(process.argv.slice(2), {
  terminal: processTerminal(process),
  ports: relayPorts,
  host: hostProcess(process),
})
process.exitCode = code
