// From a finding to plain words: what happened, whose problem it is, what to do now (N1). The words stand in
// `config/notifications/<language>/texts.json`; this file only chooses among them.
import type { NoticeKind } from '../queue/notice.ts'
import type { Finding } from './finding.ts'
import type { LanguageTexts } from './texts.ts'

export interface Explanation {
  readonly what: string
  readonly whose: string
  readonly steps: readonly string[]
}

/** Recipients with the same explanation. */
export interface CauseGroup {
  readonly explanation: Explanation
  readonly findings: readonly Finding[]
}

/**
 * Explains one failure. After a deadline that passed, the trouble that lasted until then is explained as well
 * and decides about the steps. `cleartextAllowed`: the sender may use `[Klartext]`, so it is offered.
 */
export function explain(
  texts: LanguageTexts,
  kind: NoticeKind,
  finding: Finding,
  cleartextAllowed: boolean,
): Explanation {
  const first = texts.causeText(finding.cause ?? 'unknown')
  const main = finding.lastingCause === null ? first : texts.causeText(finding.lastingCause)
  const what = main === first ? first.what : `${first.what} ${main.what}`
  if (kind === 'delayed') return { what, whose: main.whose, steps: main.whileWaiting }
  const [firstStep, ...otherSteps] = main.steps
  const steps =
    firstStep !== undefined && main.cleartextStep !== null && cleartextAllowed
      ? [firstStep, main.cleartextStep, ...otherSteps]
      : main.steps
  return { what, whose: main.whose, steps }
}

/** Findings grouped by what is to be said about them, in order of appearance. */
export function groupByCause(
  texts: LanguageTexts,
  kind: NoticeKind,
  findings: readonly Finding[],
  cleartextAllowed: boolean,
): readonly CauseGroup[] {
  const groups = Map.groupBy(findings, ({ cause, lastingCause }) => `${cause} ${lastingCause}`)
  return [...groups.values()].flatMap((members) => {
    const [first] = members
    return first ? [{ explanation: explain(texts, kind, first, cleartextAllowed), findings: members }] : []
  })
}
