// The process as commands see it: standard streams, signals, the way out. Adapter; the only file that reads
// standard input and sets a timer outside `runtime/`.
import { Fault } from '../runtime/fault.ts'
import type { Host, Terminal } from './ports.ts'

const INPUT_OCTETS_MAX = 64 * 1024

/** Standard streams. A reader that went away (`| head`) ends the process quietly. */
export function processTerminal(process: NodeJS.Process): Terminal {
  process.stdout.on('error', () => process.exit(0))
  process.stderr.on('error', () => {})
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    async readInput() {
      const chunks: Buffer[] = []
      let octets = 0
      for await (const chunk of process.stdin) {
        const part = Buffer.from(chunk)
        octets += part.length
        if (octets > INPUT_OCTETS_MAX) throw new Fault('usage', 'standard input is over 64 KB')
        chunks.push(part)
      }
      return Buffer.concat(chunks).toString('utf8')
    },
  }
}

/** Signals, crashes and the exit of the process. */
export const hostProcess = (process: NodeJS.Process): Host => ({
  on: (event, listener) => process.on(event, listener),
  off: (event, listener) => process.off(event, listener),
  exit: (code) => process.exit(code),
})
