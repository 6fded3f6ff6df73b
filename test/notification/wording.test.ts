import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '../../src/notification/cause.ts'
import { findingOf } from '../../src/notification/finding.ts'
import { NOTICE_KINDS, parseTexts } from '../../src/notification/texts.ts'
import { loadWording } from '../../src/notification/wording.ts'
import { CAUSES } from '../../src/queue/outcome.ts'
import { claimOf, deferred, failure, noEncryptedPath, readShipped, shippedWording } from './fixtures.ts'

const LANGUAGES = ['de', 'en']

for (const language of LANGUAGES) {
  test(`N1: every cause is explained in ${language} in plain words, without codes, with one to three steps`, async () => {
    const texts = parseTexts(`${language}/texts.json`, await readShipped(`${language}/texts.json`))
    for (const cause of CAUSES) {
      const words = texts.causeText(cause)
      const all = [words.what, words.whose, words.cleartextStep ?? '', ...words.steps, ...words.whileWaiting]
      assert.ok(words.steps.length + (words.cleartextStep === null ? 0 : 1) <= 3, cause)
      for (const sentence of all) {
        assert.doesNotMatch(sentence, /[245]\.\d\.\d|\b[245]\d\d\b|\{\{/, `${cause}: ${sentence}`)
        if (sentence !== '') assert.match(sentence, /[.!?]$/, `${cause}: ${sentence}`)
      }
    }
    const explanations = CAUSES.map((cause) => texts.causeText(cause).what)
    assert.equal(new Set(explanations).size, CAUSES.length, 'each cause has words of its own')
  })
}

test('N5: German and English offer the same steps for every cause', async () => {
  const [german, english] = (await shippedWording(LANGUAGES)).languages.map(({ texts }) => texts)
  for (const cause of CAUSES) {
    const shape = [german, english].map((texts) => {
      const words = texts?.causeText(cause)
      return [words?.steps.length, words?.cleartextStep === null, words?.whileWaiting.length]
    })
    assert.deepEqual(shape[0], shape[1], cause)
  }
})

test('T1: without an encrypted path the sender reads that nothing was transmitted, and how [Klartext] helps', async () => {
  const [german] = (await shippedWording(['de'])).languages
  assert.ok(german)
  const finding = findingOf('failed', { claim: claimOf(), outcome: noEncryptedPath() })
  assert.deepEqual(explain(german.texts, 'failed', finding, true), {
    what: 'Der Mailserver des Empfängers bietet keine sichere Verschlüsselung an. Deshalb wurde nichts übertragen.',
    whose:
      'Am Mailserver des Empfängers. Wir übertragen Ihre Nachrichten nur verschlüsselt, damit unterwegs niemand mitlesen kann.',
    steps: [
      'Bitten Sie den Empfänger oder seinen Anbieter, Verschlüsselung einzuschalten (TLS 1.2 oder neuer), und senden Sie die Nachricht danach noch einmal.',
      'Nur wenn der Inhalt unterwegs von Fremden gelesen werden darf: Senden Sie die Nachricht noch einmal und schreiben Sie [Klartext] mit den eckigen Klammern in den Betreff. Sie wird dann notfalls auch unverschlüsselt übertragen.',
      'Oder wählen Sie für vertrauliche Inhalte einen anderen Weg, zum Beispiel Brief, Telefon oder ein geschütztes Portal.',
    ],
  })
})

test('M5: a customer who is barred from cleartext is not told of [Klartext]', async () => {
  const wording = await shippedWording(LANGUAGES)
  for (const { texts } of wording.languages) {
    for (const cause of CAUSES) {
      const finding = findingOf('failed', { claim: claimOf(), outcome: failure({ cause }) })
      assert.doesNotMatch(JSON.stringify(explain(texts, 'failed', finding, false)), /klartext/i)
    }
  }
})

test('N1: after a deadline that passed, the trouble that lasted until then decides about the steps', async () => {
  const [, english] = (await shippedWording(LANGUAGES)).languages
  assert.ok(english)
  const lastFailure = deferred({ cause: 'mailbox-full' })
  const finding = findingOf('failed', {
    claim: claimOf({ state: { lastFailure } }),
    outcome: failure({ cause: 'expired', status: '4.4.7', reply: null }),
  })
  assert.deepEqual(explain(english.texts, 'failed', finding, true), {
    what: "The time for delivery has run out; all attempts have failed. The recipient's mailbox is full.",
    whose: 'With the recipient: only they or their provider can make room.',
    steps: [
      'Tell the recipient in another way that the mailbox is full.',
      'Send the message again when there is room.',
    ],
  })
})

test('N2: while delivery is still tried, the steps do not ask to send again', async () => {
  for (const { texts } of (await shippedWording(LANGUAGES)).languages) {
    for (const cause of CAUSES) {
      const finding = findingOf('delayed', { claim: claimOf(), outcome: deferred({ cause }) })
      assert.doesNotMatch(
        explain(texts, 'delayed', finding, true).steps.join(' '),
        /senden Sie|send the|klartext/i,
      )
    }
  }
})

/** Changes one file of the shipped directory; `null` removes it. */
const changed =
  (file: string, change: ((text: string) => string) | null) =>
  async (name: string): Promise<string> => {
    if (name !== file) return readShipped(name)
    if (change === null) throw new Error('ENOENT')
    return change(await readShipped(name))
  }

const broken: readonly [file: string, change: ((text: string) => string) | null, message: RegExp][] = [
  ['de/failed.html', null, /^de\/failed\.html: the text of notices cannot be read$/],
  ['en/texts.json', null, /^en\/texts\.json: the text of notices cannot be read$/],
  ['en/texts.json', () => '{', /^en\/texts\.json: is not JSON$/],
  ['en/texts.json', () => '[]', /^en\/texts\.json: the file must be an object$/],
  [
    'de/texts.json',
    (text) => text.replace('"virus"', '"wurm"'),
    /^de\/texts\.json: causes\.wurm is no cause; known: /,
  ],
  [
    'de/texts.json',
    (text) => text.replace('"whose"', '"who"'),
    /^de\/texts\.json: causes\.address-unknown\.whose must be a text$/,
  ],
  [
    'de/texts.json',
    (text) => text.replace('"steps": [', '"steps": [1, '),
    /^de\/texts\.json: causes\.address-unknown\.steps must be a list of one to 3 texts$/,
  ],
  [
    'de/texts.json',
    (text) => text.replace('{{recipient}}', '{{empfaenger}}'),
    /^de\/texts\.json: subjects\.failed\.one: unknown placeholder \{\{empfaenger\}\}/,
  ],
  [
    'de/failed.txt',
    (text) => text.replaceAll('{{what}}', ''),
    /^de\/failed\.txt: the placeholder \{\{what\}\} inside \{\{#causes\}\} is missing$/,
  ],
  [
    'en/relayed.txt',
    (text) => text.replaceAll('{{message}}', ''),
    /^en\/relayed\.txt: the placeholder \{\{message\}\} inside \{\{#recipients\}\} is missing$/,
  ],
  [
    'en/delayed.html',
    (text) => text.replaceAll('{{retryUntil}}', ''),
    /^en\/delayed\.html: the placeholder \{\{retryUntil\}\} is missing$/,
  ],
  ['frame.txt', () => 'nothing', /^frame\.txt: the placeholder \{\{sections\}\} is missing$/],
]

for (const [file, change, message] of broken) {
  test(`N5: a broken ${file} stops the start with ${message.source}`, async () => {
    await assert.rejects(loadWording(changed(file, change), LANGUAGES), (error: Error) => {
      assert.match(error.message, message)
      assert.equal(error.name, 'Fault')
      return true
    })
  })
}

test('N5: every notice has both forms in both languages', async () => {
  for (const wording of (await shippedWording(LANGUAGES)).languages) {
    for (const kind of NOTICE_KINDS) {
      const forms = wording.notice(kind)
      assert.ok(forms.text && forms.html)
    }
  }
})

test('N5: the HTML of notices loads nothing from elsewhere and runs nothing', async () => {
  const files = LANGUAGES.flatMap((language) => NOTICE_KINDS.map((kind) => `${language}/${kind}.html`))
  for (const file of ['frame.html', ...files]) {
    assert.doesNotMatch(
      await readShipped(file),
      /<(?:img|script|link|style|iframe|a|form)\b|url\(|https?:|\bon\w+=|src=/i,
      file,
    )
  }
})
