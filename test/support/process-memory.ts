// Resident memory of another process, watched while it works. Linux only: read from /proc.
import { readFileSync } from 'node:fs'

const LOOK_EVERY_MS = 50

/** Resident octets of `pid` now; 0 when it is gone. */
export function residentOctets(pid: number): number {
  try {
    return (
      Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
    )
  } catch {
    return 0 // it ended
  }
}

/** Looks until `stop`, which tells the largest number of resident octets that was seen. */
export function watchMemory(pid: number): { stop(): number } {
  let most = residentOctets(pid)
  const timer = setInterval(() => {
    most = Math.max(most, residentOctets(pid))
  }, LOOK_EVERY_MS)
  return {
    stop() {
      clearInterval(timer)
      return Math.max(most, residentOctets(pid))
    },
  }
}
