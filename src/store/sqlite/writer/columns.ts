// Reads columns of a result row as what the STRICT tables promise them to be.
import type { SQLOutputValue } from 'node:sqlite'
import { Fault } from '../../../runtime/fault.ts'

export type Row = Readonly<Record<string, SQLOutputValue>>

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new Fault('internal', `column ${column} is not text`)
  return value
}

export function integer(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new Fault('internal', `column ${column} is not a number`)
  return value
}

export function octets(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new Fault('internal', `column ${column} is not octets`)
  return value
}

export const textOrNull = (row: Row, column: string): string | null =>
  row[column] === null ? null : text(row, column)

export const octetsOrNull = (row: Row, column: string): Uint8Array | null =>
  row[column] === null ? null : octets(row, column)

/** The body's place as written by this version. */
export const location = (row: Row): 'inline' | 'file' =>
  text(row, 'location') === 'file' ? 'file' : 'inline'
