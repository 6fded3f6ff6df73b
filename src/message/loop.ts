// Mail loops, seen in the trace fields (product row T9). Counted on the header as it came in, before
// anonymisation: that keeps our own trace fields, so the count grows with each passage. RFC 5321 §6.3.
import type { HeaderBlock } from './header-block.ts'
import { fieldsNamed, lenientFieldText } from './header-field.ts'

/** RFC 5321 §6.3 asks for at least 100. */
const HOPS_IN_ALL_MAX = 100

/** How often the message has passed the host `hostname`: its `Received` fields with `by <hostname>`. */
export const hopsThroughUs = (header: HeaderBlock, hostname: string): number =>
  fieldsNamed(header, 'received').filter(
    (field) => passedBy(lenientFieldText(field)) === hostname.toLowerCase(),
  ).length

/** The host that wrote a trace field, in lower case. Comments may hold `by`, too, so they go first. */
const passedBy = (trace: string): string | undefined =>
  /(?:^|\s)by\s+([^\s;]+)/i.exec(trace.replace(/\([^()]*\)/g, ' '))?.[1]?.toLowerCase()

/** True when the message must be refused: `hopsMax` passages through us, or more than 100 hops in all. */
export const isLooping = (header: HeaderBlock, hostname: string, hopsMax: number): boolean =>
  hopsThroughUs(header, hostname) >= hopsMax || fieldsNamed(header, 'received').length > HOPS_IN_ALL_MAX
