// No scanner: the operator wrote `kind: none`. Every message is clean without anybody having looked, so this
// is never a fallback for a scanner that is away: that is `unavailable` (M1).
import type { Scan, Scanner } from './scanner.ts'

const unseen: Scan = {
  write: () => null,
  finish: () => Promise.resolve({ kind: 'clean' }),
  abort: () => {},
}

/** The scanner of `kind: none`. Its self-test always succeeds: there is nothing that could fail. */
export const noScanner: Scanner = {
  begin: () => unseen,
  selfTest: () => Promise.resolve({ ok: true }),
  stop: () => Promise.resolve(),
}
