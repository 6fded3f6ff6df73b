// Loads all texts and templates of the notices once, at the start, and checks them: what is missing or
// misspelt stops the gateway with the name of the file, never a notice on its way. N5.
//
//   frame.txt frame.html                        around the languages
//   <language>/texts.json                       subjects, words, causes
//   <language>/<kind>.txt <language>/<kind>.html   failed, delayed, relayed, delay-over
import type { NoticeKind } from '../queue/notice.ts'
import { Fault } from '../runtime/fault.ts'
import { compileTemplate, type Template, type TemplateShape } from './template.ts'
import { type LanguageTexts, NOTICE_KINDS, parseTexts } from './texts.ts'

/** Reads one file of the directory as UTF-8, e.g. `de/failed.txt`; rejects when it cannot be read. */
export type ReadTemplate = (file: string) => Promise<string>

/** A template in the two forms of a notice. */
export interface TwoForms {
  readonly text: Template
  readonly html: Template
}

/** Everything that notices say in one language. */
export interface Wording {
  readonly language: string
  readonly texts: LanguageTexts
  notice(kind: NoticeKind): TwoForms
}

export interface NoticeWording {
  /** In the order of the settings. */
  readonly languages: readonly Wording[]
  readonly frame: TwoForms
}

const RECIPIENT = ['address', 'server', 'message', 'status', 'transport']
const FRAME: TemplateShape = {
  values: ['language', 'title'],
  blocks: {
    hints: { values: ['hint'], required: ['hint'] },
    sections: {
      values: ['section', 'language'],
      blocks: { divider: { values: [] } },
      required: ['section'],
    },
  },
  required: ['sections'],
}

/** What stands in every notice, and what must stand in one of this kind. */
function noticeShape(kind: NoticeKind): TemplateShape {
  const isProof = kind === 'relayed'
  const recipients: TemplateShape = {
    values: RECIPIENT,
    required: isProof ? ['address', 'server', 'message'] : ['address'],
  }
  const isTrouble = kind === 'failed' || kind === 'delayed'
  return {
    values: [
      'subject',
      'sender',
      'reference',
      'acceptedAt',
      'now',
      'retryUntil',
      'hours',
      'hostname',
      'count',
    ],
    blocks: {
      // Inside `causes` the list holds the recipients of that cause, outside of it all.
      recipients: isTrouble ? { values: RECIPIENT, required: ['address'] } : recipients,
      ...(isTrouble && {
        causes: {
          values: ['what', 'whose'],
          blocks: { recipients, steps: { values: ['number', 'step'], required: ['step'] } },
          required: ['what', 'whose', 'recipients', 'steps'],
        },
      }),
    },
    required: [
      'subject',
      'reference',
      isTrouble ? 'causes' : 'recipients',
      ...(kind === 'delayed' ? ['retryUntil', 'hours', 'message'] : []),
      ...(kind === 'failed' ? ['message'] : []),
    ],
  }
}

/** Loads and checks the wording. Throws `Fault` (configuration) naming the file. */
export async function loadWording(read: ReadTemplate, languages: readonly string[]): Promise<NoticeWording> {
  const frame = await loadForms(read, 'frame', FRAME)
  return { languages: await Promise.all(languages.map((language) => loadLanguage(read, language))), frame }
}

async function loadLanguage(read: ReadTemplate, language: string): Promise<Wording> {
  const file = `${language}/texts.json`
  const texts = parseTexts(file, await readFile(read, file))
  const notices = new Map<NoticeKind, TwoForms>()
  for (const kind of NOTICE_KINDS) {
    notices.set(kind, await loadForms(read, `${language}/${kind}`, noticeShape(kind)))
  }
  return {
    language,
    texts,
    notice(kind) {
      const forms = notices.get(kind)
      if (!forms) throw new Fault('internal', `no template for the notice ${kind}`)
      return forms
    },
  }
}

async function loadForms(read: ReadTemplate, name: string, shape: TemplateShape): Promise<TwoForms> {
  const [text, html] = [`${name}.txt`, `${name}.html`]
  return {
    text: compileTemplate(text, await readFile(read, text), shape, 'text'),
    html: compileTemplate(html, await readFile(read, html), shape, 'html'),
  }
}

async function readFile(read: ReadTemplate, file: string): Promise<string> {
  try {
    return await read(file)
  } catch (error) {
    throw new Fault('configuration', `${file}: the text of notices cannot be read`, { cause: error })
  }
}
