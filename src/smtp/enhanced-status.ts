// Enhanced status codes, RFC 3463 and RFC 5248.

/** `class.subject.detail`, e.g. `5.7.1`. Class 2 success, 4 persistent transient, 5 permanent. */
export type EnhancedStatus = `${2 | 4 | 5}.${number}.${number}`

const PATTERN = /^([245])\.([0-9]{1,3})\.([0-9]{1,3})(?=$|[ \t])/

/** The code at the start of a reply text, or `null`. */
export function parseEnhancedStatus(text: string): EnhancedStatus | null {
  const match = PATTERN.exec(text)
  return match ? (match[0] as EnhancedStatus) : null
}

/** The same subject and detail in another class, e.g. when a transient failure has become final. */
export const withClass = (status: EnhancedStatus, statusClass: 2 | 4 | 5): EnhancedStatus =>
  `${statusClass}${status.slice(1)}` as EnhancedStatus
