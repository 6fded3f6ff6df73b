// A fault is what must not happen: disk, database, bug. Everything SMTP can answer is a value instead
// (house rule: results are values, faults are exceptions). Faults are caught in four places only: SMTP
// session, delivery attempt, HTTP request, command line.

/** Stable codes, for logs and for the four places that catch. Never re-used for another meaning. */
export type FaultCode =
  | 'deadline-exceeded'
  | 'store-unavailable'
  | 'store-full'
  | 'spool-unreadable'
  | 'configuration'
  | 'usage'
  | 'internal'

export class Fault extends Error {
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'Fault'
    this.code = code
  }
}

/** Any thrown thing as one line of text that is safe for a log: no line breaks, bounded length. */
export function faultText(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 500)
}
