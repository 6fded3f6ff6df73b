// Who promised what, and what came of it: the accounts of a crash soak. Pure but for the times that it is given
// (ms, one clock). The promise is a 250 that the client read; its fulfilment is a whole mail, final dot
// included, at each recipient.
//
// A further copy of a delivery is explained when it follows from the one window in which the gateway may repeat
// itself: the former copy was whole at the recipient, and the gateway that sent it was killed before it could
// know (no reply yet) or before it had written that down (a reply a moment ago). Everything else is a bug.
import type { SoakMail } from './soak-mail.ts'

/** One whole mail at one recipient. */
export interface Copy {
  /** Which life of the gateway sent it. */
  readonly run: number
  /** When the recipient's reply was given to the network; `null` while it was not. */
  answeredAt: number | null
}

export interface Arrival {
  /** `null`: not a mail of the soak. */
  readonly number: number | null
  readonly forwardPaths: readonly string[]
  readonly bodyHash: string
  readonly run: number
}

/** Mails, but for `deliveries`, `duplicated` and what `duplicated` consists of: one for each recipient. */
export interface LedgerReport {
  readonly accepted: number
  /** Accepted mails that are whole at every recipient. */
  readonly delivered: number
  readonly lost: number
  /** Deliveries that were promised. */
  readonly deliveries: number
  /** Copies beyond the first. */
  readonly duplicated: number
  /** The gateway was killed before the recipient had answered the final dot. */
  readonly duplicatedUnanswered: number
  /** The gateway was killed (or its disk hung) less than `ANSWER_TO_COMMIT_MAX_MS` after the answer. */
  readonly duplicatedAnswered: number
  readonly longestAnswerToEndMs: number
  readonly unexplained: number
  /** Mails that arrived although the client read no 250: allowed, the client would send them again. */
  readonly unacknowledged: number
  /** Of those: mails that some of their recipients never got. */
  readonly torn: number
  /** Copies whose body is not what was sent, or that came to somebody else. */
  readonly damaged: number
  /** Mails that nobody sent: notices of the gateway. */
  readonly unexpected: number
  /** Mails that the gateway did not take, with a reply that said so. */
  readonly refused: number
  /** What is wrong, in words; the first twenty. */
  readonly problems: readonly string[]
}

export interface Ledger {
  begin(mail: SoakMail): void
  /** The client read the 250. */
  accept(number: number, queueId: string): void
  refuse(number: number, reply: string): void
  /** Returns the copies, to be told of the reply. */
  arrive(arrival: Arrival): Copy[]
  /** From `at` on this life of the gateway can write nothing down: it is killed, or its disk hangs until it is. */
  end(run: number, at: number): void
  /** Promised deliveries that have not arrived. */
  readonly outstanding: number
  report(): LedgerReport
}

/** Between the recipient's reply and the commit of it lie two hops on loopback and one sync of the disk. */
export const ANSWER_TO_COMMIT_MAX_MS = 500
const PROBLEMS_MAX = 20

interface Entry {
  readonly forwardPaths: readonly string[]
  readonly bodyHash: string
  queueId: string | null
  readonly copies: Map<string, Copy[]>
}

type Explanation = 'unanswered' | 'answered' | 'unexplained'

export function createLedger(): Ledger {
  const entries = new Map<number, Entry>()
  const endedAt = new Map<number, number>()
  const wrong: string[] = []
  let outstanding = 0
  let damaged = 0
  let unexpected = 0
  let refused = 0

  const missingOf = ({ forwardPaths, copies }: Entry): string[] =>
    forwardPaths.filter((path) => !copies.has(path))

  const judge = (former: Copy, next: Copy): { kind: Explanation; gapMs: number } => {
    const ended = endedAt.get(former.run)
    if (ended === undefined || next.run <= former.run) return { kind: 'unexplained', gapMs: 0 }
    if (former.answeredAt === null || former.answeredAt >= ended) return { kind: 'unanswered', gapMs: 0 }
    const gapMs = ended - former.answeredAt
    return { kind: gapMs <= ANSWER_TO_COMMIT_MAX_MS ? 'answered' : 'unexplained', gapMs }
  }

  const duplicates = (problems: string[]) => {
    const counts = { unanswered: 0, answered: 0, unexplained: 0 }
    let longestMs = 0
    for (const [number, { copies }] of entries) {
      for (const [path, ofPath] of copies) {
        for (const [index, next] of ofPath.entries()) {
          const former = ofPath[index - 1]
          if (former === undefined) continue
          const { kind, gapMs } = judge(former, next)
          counts[kind]++
          if (kind === 'answered') longestMs = Math.max(longestMs, gapMs)
          if (kind !== 'unexplained') continue
          problems.push(
            `mail ${number} to ${path} came in run ${former.run} and again in run ${next.run}, ` +
              `answered ${gapMs.toFixed(0)} ms before the end`,
          )
        }
      }
    }
    return { counts, longestMs }
  }

  return {
    begin({ number, forwardPaths, bodyHash }) {
      entries.set(number, { forwardPaths, bodyHash, queueId: null, copies: new Map() })
    },
    accept(number, queueId) {
      const entry = entries.get(number)
      if (entry === undefined) throw new Error(`mail ${number} was accepted and never sent`)
      entry.queueId = queueId
      outstanding += missingOf(entry).length
    },
    refuse(number, reply) {
      refused++
      wrong.push(`mail ${number} was refused: ${reply}`)
    },
    arrive({ number, forwardPaths, bodyHash, run }) {
      const entry = number === null ? undefined : entries.get(number)
      if (entry === undefined) {
        unexpected++
        wrong.push(`a mail that nobody sent came to ${forwardPaths.join(', ')} in run ${run}`)
        return []
      }
      const strangers = forwardPaths.filter((path) => !entry.forwardPaths.includes(path))
      if (bodyHash !== entry.bodyHash || strangers.length > 0) {
        damaged++
        const what = strangers.length > 0 ? `came to ${strangers.join(', ')}` : 'has another body'
        wrong.push(`mail ${number} (${entry.queueId}) ${what} in run ${run}`)
        return []
      }
      return forwardPaths.map((path) => {
        const copy: Copy = { run, answeredAt: null }
        const former = entry.copies.get(path)
        if (former === undefined) {
          entry.copies.set(path, [copy])
          if (entry.queueId !== null) outstanding--
        } else former.push(copy)
        return copy
      })
    },
    end(run, at) {
      endedAt.set(run, Math.min(at, endedAt.get(run) ?? at))
    },
    get outstanding() {
      return outstanding
    },
    report() {
      const problems = [...wrong]
      const all = [...entries]
      const accepted = all.filter(([, entry]) => entry.queueId !== null)
      const lost = accepted.filter(([, entry]) => missingOf(entry).length > 0)
      for (const [number, entry] of lost) {
        problems.push(`mail ${number} (${entry.queueId}) never came to ${missingOf(entry).join(', ')}`)
      }
      const arrivedOnly = all.filter(([, { queueId, copies }]) => queueId === null && copies.size > 0)
      const torn = arrivedOnly.filter(([, entry]) => missingOf(entry).length > 0)
      for (const [number, entry] of torn) {
        problems.push(`mail ${number}, not acknowledged, came in part: not to ${missingOf(entry).join(', ')}`)
      }
      const { counts, longestMs } = duplicates(problems)
      return {
        accepted: accepted.length,
        delivered: accepted.length - lost.length,
        lost: lost.length,
        deliveries: accepted.reduce((sum, [, { forwardPaths }]) => sum + forwardPaths.length, 0),
        duplicated: counts.unanswered + counts.answered + counts.unexplained,
        duplicatedUnanswered: counts.unanswered,
        duplicatedAnswered: counts.answered,
        longestAnswerToEndMs: Math.round(longestMs),
        unexplained: counts.unexplained,
        unacknowledged: arrivedOnly.length,
        torn: torn.length,
        damaged,
        unexpected,
        refused,
        problems: problems.slice(0, PROBLEMS_MAX),
      }
    },
  }
}
