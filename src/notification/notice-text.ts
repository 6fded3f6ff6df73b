// Writes what people read: the subject, the text part and the HTML part of a notice, in one or more languages.
// Remote words arrive here sanitised and bounded; the templates escape them for HTML.
import type { NoticeKind } from '../queue/notice.ts'
import { sanitiseText } from '../smtp/reply.ts'
import type { TransportEvidence } from '../smtp/tls-evidence.ts'
import { groupByCause } from './cause.ts'
import { type Finding, lastWords } from './finding.ts'
import type { TemplateValues } from './template.ts'
import type { LanguageTexts } from './texts.ts'
import type { NoticeWording, Wording } from './wording.ts'

/** All that a notice is written from. Times in epoch ms. */
export interface NoticeFacts {
  readonly kind: NoticeKind
  /** Never empty. */
  readonly findings: readonly Finding[]
  /** Decoded subject of the original, `null` when it had none, `withheld` when it may not be told. */
  readonly subject:
    | { readonly kind: 'subject'; readonly text: string }
    | { readonly kind: 'none' | 'withheld' }
  /** Id of the message the notice is about. */
  readonly reference: string
  readonly acceptedAt: number
  readonly expiresAt: number
  readonly now: number
  /** Our host name and the name notices are sent under. */
  readonly hostname: string
  readonly senderName: string
  readonly cleartextAllowed: boolean
}

export interface NoticeText {
  readonly subject: string
  readonly text: string
  readonly html: string
}

const SUBJECT_LENGTH_MAX = 200
const WORDS_LENGTH_MAX = 500
const HOUR_MS = 3_600_000

/** Writes the notice in the given languages, the first one on top and in the subject. */
export function writeNotice(
  facts: NoticeFacts,
  languages: readonly Wording[],
  frame: NoticeWording['frame'],
  timeZone: string,
): NoticeText {
  const values = languages.map((wording) => noticeValues(facts, wording.texts, timeZone))
  const subject = languages[0] ? subjectLine(facts, languages[0].texts) : ''
  const outer = (section: (wording: Wording, own: TemplateValues) => TemplateValues): TemplateValues => ({
    language: languages[0]?.language ?? '',
    title: subject,
    hints: languages.slice(1).map(({ texts }) => ({ hint: texts.hint })),
    sections: languages.map((wording, index) => ({
      language: wording.language,
      divider: index === 0 ? [] : [{}],
      ...section(wording, values[index] ?? {}),
    })),
  })
  return {
    subject,
    text: frame.text.render(
      outer((wording, own) => ({ section: wording.notice(facts.kind).text.render(own).trimEnd() })),
    ),
    html: frame.html.render(
      outer((wording, own) => ({
        section: { markup: wording.notice(facts.kind).html.render(own).trimEnd() },
      })),
    ),
  }
}

/** `text` without control characters, ending with an ellipsis where it was cut. */
function bounded(text: string, charactersMax: number): string {
  const characters = [...sanitiseText(text, charactersMax * 4).trim()]
  return characters.length <= charactersMax
    ? characters.join('')
    : `${characters.slice(0, charactersMax - 1).join('')}…`
}

function subjectOf(facts: NoticeFacts, texts: LanguageTexts): string {
  switch (facts.subject.kind) {
    case 'subject':
      return bounded(facts.subject.text, SUBJECT_LENGTH_MAX) || texts.noSubject
    case 'none':
      return texts.noSubject
    case 'withheld':
      return texts.subjectWithheld
  }
}

function subjectLine(facts: NoticeFacts, texts: LanguageTexts): string {
  const recipient = facts.findings[0]?.recipient.forwardPath.text ?? ''
  return texts.subjectTemplate(facts.kind, facts.findings.length === 1 ? 'one' : 'many').render({
    recipient: sanitiseText(recipient),
    count: String(facts.findings.length),
    subject: subjectOf(facts, texts),
  })
}

function noticeValues(facts: NoticeFacts, texts: LanguageTexts, timeZone: string): TemplateValues {
  const time = (epochMs: number): string => formatTime(epochMs, texts.locale, timeZone)
  const recipients = (findings: readonly Finding[]): TemplateValues[] =>
    findings.map((finding) => recipientValues(finding, texts))
  return {
    subject: subjectOf(facts, texts),
    sender: facts.senderName,
    reference: facts.reference,
    acceptedAt: time(facts.acceptedAt),
    now: time(facts.now),
    retryUntil: time(facts.expiresAt),
    hours: String(Math.round((facts.expiresAt - facts.acceptedAt) / HOUR_MS)),
    hostname: facts.hostname,
    count: String(facts.findings.length),
    recipients: recipients(facts.findings),
    causes: groupByCause(texts, facts.kind, facts.findings, facts.cleartextAllowed).map((group) => ({
      what: group.explanation.what,
      whose: group.explanation.whose,
      steps: group.explanation.steps.map((step, index) => ({ number: String(index + 1), step })),
      recipients: recipients(group.findings),
    })),
  }
}

const recipientValues = (finding: Finding, texts: LanguageTexts): TemplateValues => ({
  address: sanitiseText(finding.recipient.forwardPath.text),
  server: serverText(finding) ?? texts.noServer,
  message: bounded(lastWords(finding), WORDS_LENGTH_MAX) || '–',
  status: finding.status,
  transport: transportText(finding.evidence, texts),
})

/** `mx.example.org [192.0.2.1]`, or what is known of it; `null` when no server was reached. */
function serverText({ place: { mxHost, address } }: Finding): string | null {
  const known = [mxHost, address === null ? null : `[${address}]`].filter((part) => part !== null)
  return known.length === 0 ? null : sanitiseText(known.join(' '), WORDS_LENGTH_MAX)
}

function transportText(evidence: TransportEvidence | null, texts: LanguageTexts): string {
  if (evidence === null) return texts.noConnection
  if (evidence.kind === 'cleartext') return texts.cleartext
  const { protocol, cipher, authenticatedBy } = evidence
  return authenticatedBy === 'none'
    ? texts.encrypted.render({ protocol, cipher })
    : texts.encryptedAndAuthenticated.render({ protocol, cipher, proof: authenticatedBy })
}

/** Date and time in the sender's time zone, e.g. `23. November 2026 um 14:05 MEZ`. */
const formatTime = (epochMs: number, locale: string, timeZone: string): string =>
  new Intl.DateTimeFormat(locale, {
    timeZone,
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZoneName: 'short',
  })
    .format(epochMs)
    .replace(/[\u00a0\u202f]/g, ' ')
