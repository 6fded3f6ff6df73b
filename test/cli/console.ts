// A command line without a process: memory for the stores, lists for what is printed.

import { EventEmitter } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Host, Operations, Ports, ServedRelay } from '../../src/cli/ports.ts'
import { runProgram } from '../../src/cli/program.ts'
import { createMemoryAccountStore } from '../accounts/memory-account-store.ts'

export const CONFIGURATION = `hostname: mail.example.org
certificates:
  - { chain: mail.pem, key: mail-key.pem }
log: { level: error }
`

export interface Console {
  readonly configFile: string
  /** What the last command printed. */
  readonly out: string[]
  readonly err: string[]
  readonly progress: string[]
  readonly operations: Operations
  readonly host: Host & EventEmitter & { exits: number[] }
  /** Runs a command with `--config` added; the exit code. */
  run(words: readonly string[], input?: string): Promise<number>
}

/** An empty queue; `parts` replace what a test looks at. */
export const createConsoleQueue = (parts: Partial<Operations['queue']> = {}): Operations['queue'] => ({
  list: async () => [],
  counts: async () => ({ waiting: 0, active: 0, held: 0 }),
  retryNow: async () => 0,
  hold: async () => 0,
  unhold: async () => 0,
  drop: async () => 0,
  move: async () => 0,
  masterKeyUsage: async () => [],
  ...parts,
})

/** `parts` replace what a test looks at. */
export function createConsole(
  context: TestContext,
  parts: { operations?: Partial<Operations>; relay?: ServedRelay; openFault?: Error } = {},
): Console {
  const directory = mkdtempSync(join(tmpdir(), 'secure-transport-cli-'))
  context.after(() => rmSync(directory, { recursive: true }))
  cpSync(join(import.meta.dirname, '../config/certificates'), directory, { recursive: true })
  const configFile = join(directory, 'test.yaml')
  writeFileSync(configFile, CONFIGURATION)

  const operations: Operations = {
    accounts: createMemoryAccountStore(),
    queue: createConsoleQueue(),
    journal: { append: async () => {}, trace: async () => [], between: async () => [] },
    close: () => {},
    ...parts.operations,
  }
  const ports: Ports = {
    openOperations: async () => {
      if (parts.openFault) throw parts.openFault
      return operations
    },
    createRelay: async () =>
      parts.relay ?? { start: async () => {}, drain: async () => {}, stop: async () => {} },
  }
  const exits: number[] = []
  const host = Object.assign(new EventEmitter(), { exits, exit: (code: number) => void exits.push(code) })
  const out: string[] = []
  const err: string[] = []
  const progress: string[] = []
  return {
    configFile,
    out,
    err,
    progress,
    operations,
    host,
    run(words, input = '') {
      out.length = 0
      err.length = 0
      progress.length = 0
      const terminal = {
        out: (text: string) => void out.push(text),
        err: (text: string) => void err.push(text),
        progress: (text: string) => void progress.push(text),
        readInput: async () => input,
      }
      return runProgram([...words, '--config', configFile], { terminal, ports, host })
    },
  }
}
