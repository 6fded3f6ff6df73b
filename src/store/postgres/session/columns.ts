// Reads columns of a result row as what the tables promise them to be.
import { Fault } from '../../../runtime/fault.ts'

export type Row = Readonly<Record<string, unknown>>

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new Fault('internal', `column ${column} is not text`)
  return value
}

/** bigint columns come as numbers: all of ours stay far below 2^53. */
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

export const flag = (row: Row, column: string): boolean => row[column] === true

export const textOrNull = (row: Row, column: string): string | null =>
  row[column] == null ? null : text(row, column)

export const integerOrNull = (row: Row, column: string): number | null =>
  row[column] == null ? null : integer(row, column)

export const octetsOrNull = (row: Row, column: string): Uint8Array | null =>
  row[column] == null ? null : octets(row, column)
