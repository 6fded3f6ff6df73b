// What clamd's words mean (M1). Pure. Only the exact clean reply is clean, only a well-formed FOUND is infected;
// everything else, half replies and errors included, is no verdict.
// clamd(8), INSTREAM: replies `stream: OK`, `stream: NAME FOUND`, `… ERROR`, ended by NUL for a `z` command.
import type { Verdict } from './scanner.ts'

/** Longer replies are not read: no signature name is that long. */
export const REPLY_OCTETS_MAX = 512

const FOUND = /^stream: ([\x20-\x7e]{1,200}) FOUND\0$/
/** `ExtendedDetectionInfo` puts digest and size behind the name. */
const DETECTION_INFO = /\([0-9a-f]{32,64}:[0-9]+\)$/
/** What `AlertExceedsMax` makes of a limit: not a virus, but not looked at to the end either. */
const LIMIT_EXCEEDED = /^Heuristics\.Limits\.Exceeded/

/** The verdict in `reply`, all that clamd has sent so far, one character for each octet. */
export function parseReply(reply: string): Verdict {
  if (reply === 'stream: OK\0') return { kind: 'clean' }
  const signature = FOUND.exec(reply)?.[1]
  if (signature === undefined) return { kind: 'unavailable', reason: `clamd answered ${quoteReply(reply)}` }
  if (LIMIT_EXCEEDED.test(signature))
    return { kind: 'unavailable', reason: `over a limit of clamd: ${signature}` }
  return { kind: 'infected', signature: signature.replace(DETECTION_INFO, '') }
}

/** A reply as it may stand in a log: quoted, without control characters, at most 200 characters. */
export const quoteReply = (reply: string): string =>
  reply === ''
    ? 'nothing'
    : `"${reply
        .replace(/\0$/, '')
        .replace(/[^\x20-\x7e]+/g, '?')
        .slice(0, 200)}"`
