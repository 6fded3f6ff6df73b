// Reads one language's `texts.json`: subjects, single words, and the plain words for every cause (N1, N5).
// An operator may replace the file, so everything in it is checked here and errors name the file and the key.

import type { NoticeKind } from '../queue/notice.ts'
import { CAUSES, type Cause } from '../queue/outcome.ts'
import { Fault } from '../runtime/fault.ts'
import { compileTemplate, type Template } from './template.ts'

/** What a sender is told about a cause: no codes, no jargon. */
export interface CauseText {
  /** One sentence or two: what happened. */
  readonly what: string
  /** Whose problem it is. */
  readonly whose: string
  /** What to do after a final failure: one to three steps. */
  readonly steps: readonly string[]
  /** An additional step for senders who may use a cleartext permit; `null` where it would not help. */
  readonly cleartextStep: string | null
  /** What to do while delivery is still tried. */
  readonly whileWaiting: readonly string[]
}

/** The texts of one language. */
export interface LanguageTexts {
  /** BCP 47 tag for dates. */
  readonly locale: string
  /** Tells at the top that this language follows below. */
  readonly hint: string
  /** With the values recipient, count, subject. */
  subjectTemplate(kind: NoticeKind, recipients: 'one' | 'many'): Template
  readonly noSubject: string
  readonly subjectWithheld: string
  readonly noServer: string
  /** With the values protocol, cipher. */
  readonly encrypted: Template
  /** With the values protocol, cipher, proof. */
  readonly encryptedAndAuthenticated: Template
  readonly cleartext: string
  readonly noConnection: string
  causeText(cause: Cause): CauseText
}

export const NOTICE_KINDS: readonly NoticeKind[] = ['failed', 'delayed', 'relayed', 'delay-over']

/** A JSON object with the place where it stands, for errors. */
interface Section {
  readonly file: string
  readonly path: string
  readonly entries: ReadonlyMap<string, unknown>
}

const STEPS_MAX = 3

/** Parses the file. Throws `Fault` (configuration) naming `file` and the key that is wrong. */
export function parseTexts(file: string, source: string): LanguageTexts {
  const root = openSection(file, '', parseJson(file, source))
  const subjects = subsection(root, 'subjects')
  const words = subsection(root, 'words')
  const subjectTemplates = new Map(
    NOTICE_KINDS.flatMap((kind) => {
      const section = subsection(subjects, kind)
      return (['one', 'many'] as const).map((recipients): [string, Template] => [
        `${kind} ${recipients}`,
        templateOf(section, recipients, ['recipient', 'count', 'subject']),
      ])
    }),
  )
  const causes = parseCauses(subsection(root, 'causes'), texts(root, 'whileWaiting'))
  return {
    locale: text(root, 'locale'),
    hint: text(root, 'hint'),
    subjectTemplate: (kind, recipients) => present(subjectTemplates.get(`${kind} ${recipients}`)),
    noSubject: text(words, 'noSubject'),
    subjectWithheld: text(words, 'subjectWithheld'),
    noServer: text(words, 'noServer'),
    encrypted: templateOf(words, 'encrypted', ['protocol', 'cipher']),
    encryptedAndAuthenticated: templateOf(words, 'encryptedAndAuthenticated', [
      'protocol',
      'cipher',
      'proof',
    ]),
    cleartext: text(words, 'cleartext'),
    noConnection: text(words, 'noConnection'),
    causeText: (cause) => present(causes.get(cause)),
  }
}

function parseCauses(section: Section, whileWaiting: readonly string[]): ReadonlyMap<Cause, CauseText> {
  const known: readonly string[] = CAUSES
  for (const name of section.entries.keys()) {
    if (!known.includes(name)) throw wrong(section, name, `is no cause; known: ${CAUSES.join(', ')}`)
  }
  return new Map(
    CAUSES.map((cause) => {
      const own = subsection(section, cause)
      return [
        cause,
        {
          what: text(own, 'what'),
          whose: text(own, 'whose'),
          steps: texts(own, 'steps'),
          cleartextStep: own.entries.has('cleartextStep') ? text(own, 'cleartextStep') : null,
          whileWaiting: own.entries.has('whileWaiting') ? texts(own, 'whileWaiting') : whileWaiting,
        },
      ]
    }),
  )
}

function parseJson(file: string, source: string): unknown {
  try {
    return JSON.parse(source)
  } catch (error) {
    throw new Fault('configuration', `${file}: is not JSON`, { cause: error })
  }
}

function openSection(file: string, path: string, value: unknown): Section {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Fault('configuration', `${file}: ${path || 'the file'} must be an object`)
  }
  return { file, path, entries: new Map(Object.entries(value)) }
}

const pathOf = (section: Section, key: string): string =>
  section.path === '' ? key : `${section.path}.${key}`

const subsection = (section: Section, key: string): Section =>
  openSection(section.file, pathOf(section, key), section.entries.get(key))

function text(section: Section, key: string): string {
  const value = section.entries.get(key)
  if (typeof value !== 'string' || value.trim() === '') throw wrong(section, key, 'must be a text')
  return value
}

function texts(section: Section, key: string): readonly string[] {
  const value: unknown = section.entries.get(key)
  const list: readonly unknown[] = Array.isArray(value) ? value : []
  const found = list.flatMap((entry) => (typeof entry === 'string' && entry.trim() !== '' ? [entry] : []))
  if (found.length === 0 || found.length !== list.length || found.length > STEPS_MAX) {
    throw wrong(section, key, `must be a list of one to ${STEPS_MAX} texts`)
  }
  return found
}

const templateOf = (section: Section, key: string, values: readonly string[]): Template =>
  compileTemplate(`${section.file}: ${pathOf(section, key)}`, text(section, key), { values }, 'text')

const wrong = (section: Section, key: string, what: string): Fault =>
  new Fault('configuration', `${section.file}: ${pathOf(section, key)} ${what}`)

/** For entries that `parseTexts` made for every member of a closed set. */
function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Fault('internal', 'a text that was checked at the start is missing')
  return value
}
