// How commands print: tables for people, JSON for programs. Control characters never reach a terminal.
import { sanitiseText } from '../smtp/reply.ts'
import type { Terminal } from './ports.ts'

/** One JSON value, indented, with a line end. */
export const printJson = (terminal: Terminal, value: unknown): void =>
  terminal.out(JSON.stringify(value, null, 2))

/** Columns as wide as their widest cell; the last one is not padded. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((cells) => cells.map((cell) => sanitiseText(cell)))
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => [...(cells[column] ?? '')].length)))
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A moment for people: `2026-01-05 09:00:00Z`. @param at epoch ms */
export const timeText = (at: number): string =>
  new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.[0-9]+Z$/, 'Z')

/** `1 delivery`, `2 deliveries`. */
export const countText = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`
