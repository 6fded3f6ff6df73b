// The process as commands see it: standard streams, signals, the way out. Adapter; the only file that reads
// standard input and sets a timer outside `runtime/`.
import { Fault } from '../runtime/fault.ts'
import type { Host, Terminal } from './ports.ts'

const INPUT_OCTETS_MAX = 64 * 1024
/** Carriage return, erase to the end of the line (ECMA-48). */
const CLEAR_LINE = '\r\u001b[K'

/** Standard streams. A reader that went away (`| head`) ends the process quietly. */
export function processTerminal(process: NodeJS.Process): Terminal {
  process.stdout.on('error', () => process.exit(0))
  process.stderr.on('error', () => {})
  let isProgressShown = false
  const clear = (): void => {
    if (isProgressShown) process.stderr.write(CLEAR_LINE)
    isProgressShown = false
  }
  return {
    out(text) {
      clear()
      process.stdout.write(`${text}\n`)
    },
    err(text) {
      clear()
      process.stderr.write(`${text}\n`)
    },
    progress(text) {
      if (!process.stderr.isTTY) return
      process.stderr.write(`${CLEAR_LINE}${text}`)
      isProgressShown = true
    },
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
