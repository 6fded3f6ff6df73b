// What a server and all its processes use, read from /proc. CPU: a process's own time and that of its children
// that have ended and were waited for, summed over all that live; so a difference of two readings loses no process
// that came and went in between (Postfix's do), as long as its parent waited for it. Memory: proportional set
// size, which counts a page that processes share once. Linux only.
import { readdirSync, readFileSync } from 'node:fs'

const TICK_MS = 10 // USER_HZ is 100 on every architecture that Node runs on

interface ProcessState {
  readonly pid: number
  readonly parent: number
  readonly cpuMs: number
}

/** CPU that the trees below `roots` have used so far, user and system, in ms. */
export function cpuMs(roots: readonly number[]): number {
  return processTree(roots).reduce((sum, { cpuMs: used }) => sum + used, 0)
}

/** Memory of the trees below `roots` now, in MB. */
export function memoryMb(roots: readonly number[]): number {
  return processTree(roots).reduce((sum, { pid }) => sum + memoryOf(pid), 0) / 1024
}

/** Samples the memory every half second until stopped; gives the highest sum seen. */
export function watchMemory(roots: readonly number[]): { stop(): number } {
  let peakMb = memoryMb(roots)
  const sample = (): void => {
    peakMb = Math.max(peakMb, memoryMb(roots))
  }
  const timer = setInterval(sample, 500)
  return {
    stop() {
      clearInterval(timer)
      sample()
      return peakMb
    },
  }
}

function processTree(roots: readonly number[]): ProcessState[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => stateOf(Number(name)))
    .filter((state) => state !== null)
  const wanted = new Set(roots)
  // A child may have a smaller number than its parent, so go on until nothing is added.
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size
    for (const { pid, parent } of all) if (wanted.has(parent)) wanted.add(pid)
  }
  return all.filter(({ pid }) => wanted.has(pid))
}

/** `null` when the process has ended meanwhile. Fields 4 and 14 to 17 of proc_pid_stat(5). */
function stateOf(pid: number): ProcessState | null {
  const stat = read(`/proc/${pid}/stat`)
  // The second field is the name in parentheses and may hold anything: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields.length < 15) return null
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { pid, parent: Number(fields[1]), cpuMs: ticks * TICK_MS }
}

/** Proportional set size in KB; 0 for a process that has ended. */
function memoryOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended between listing and reading
  }
}
