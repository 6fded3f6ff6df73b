import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTemplate, type TemplateShape } from '../../src/notification/template.ts'

const SHAPE: TemplateShape = {
  values: ['name', 'subject'],
  blocks: { people: { values: ['address'], required: ['address'] } },
  required: ['subject'],
}

const valid: readonly [source: string, expected: string][] = [
  ['{{subject}}', 'Angebot & mehr'],
  ['{{ subject }}{{name}}', 'Angebot & mehrErika'],
  [
    '{{subject}}\n{{#people}}\n- {{address}} ({{name}})\n{{/people}}\nEnde',
    'Angebot & mehr\n- a (Erika)\n- b (Bo)\nEnde',
  ],
  ['{{subject}}:{{#people}} {{address}}{{/people}}', 'Angebot & mehr: a b'],
  ['{{subject}}\r\n{{#people}}\r\n{{address}}\r\n{{/people}}\r\n', 'Angebot & mehr\na\nb\n'],
  ['{ {subject} } {{subject}}', '{ {subject} } Angebot & mehr'],
]

const invalid: readonly [source: string, message: string][] = [
  ['', 'de/x.txt: the placeholder {{subject}} is missing'],
  ['{{subject}}{{nmae}}', 'de/x.txt: unknown placeholder {{nmae}}; known here: name, subject, #people'],
  ['{{subject}}{{address}}', 'de/x.txt: unknown placeholder {{address}}; known here: name, subject, #people'],
  [
    '{{subject}}{{#persons}}{{/persons}}',
    'de/x.txt: unknown placeholder {{#persons}}; known here: name, subject, #people',
  ],
  [
    '{{subject}}{{#constructor}}',
    'de/x.txt: unknown placeholder {{#constructor}}; known here: name, subject, #people',
  ],
  [
    '{{subject}}{{#people}}{{name}}{{/people}}',
    'de/x.txt: the placeholder {{address}} inside {{#people}} is missing',
  ],
  ['{{subject}}{{#people}}{{address}}', 'de/x.txt: {{#people}} is not closed'],
  ['{{subject}}{{/people}}', 'de/x.txt: {{/people}} closes no open block'],
  ['{{subject}} {{name', 'de/x.txt: a placeholder is not written as {{name}}'],
  ['{{subject}} {{name.first}}', 'de/x.txt: a placeholder is not written as {{name}}'],
  ['{{subject}} {{{name}}}', 'de/x.txt: a placeholder is not written as {{name}}'],
]

const VALUES = {
  name: 'Erika',
  subject: 'Angebot & mehr',
  people: [{ address: 'a' }, { address: 'b', name: 'Bo' }],
}

for (const [source, expected] of valid) {
  test(`N5: the template ${JSON.stringify(source)} is rendered`, () => {
    assert.equal(compileTemplate('de/x.txt', source, SHAPE, 'text').render(VALUES), expected)
  })
}

for (const [source, message] of invalid) {
  test(`N5: the template ${JSON.stringify(source)} is refused with its file and placeholder`, () => {
    assert.throws(() => compileTemplate('de/x.txt', source, SHAPE, 'text'), {
      name: 'Fault',
      code: 'configuration',
      message,
    })
  })
}

test('N5: in HTML every value is escaped, in text parts none is', () => {
  const subject = `<script>alert("1 & 2")</script>'`
  const html = compileTemplate('x.html', '<p title="{{subject}}">{{subject}}</p>', SHAPE, 'html')
  const escaped = '&lt;script&gt;alert(&quot;1 &amp; 2&quot;)&lt;/script&gt;&#39;'
  assert.equal(html.render({ subject }), `<p title="${escaped}">${escaped}</p>`)
  assert.equal(compileTemplate('x.txt', '{{subject}}', SHAPE, 'text').render({ subject }), subject)
})

test('N5: no value is ever read as a placeholder or as markup', () => {
  const html = compileTemplate('x.html', '[{{subject}}]', SHAPE, 'html')
  const text = compileTemplate('x.txt', '[{{subject}}]', SHAPE, 'text')
  const fragments = fc.constantFrom(
    '{{name}}',
    '{{#people}}',
    '<',
    '>',
    '"',
    "'",
    '&',
    '$1',
    '$&',
    '\n',
    'ä',
    'x',
  )
  fc.assert(
    fc.property(fc.array(fragments, { maxLength: 12 }), (pieces) => {
      const subject = pieces.join('')
      assert.equal(text.render({ subject, name: 'secret' }), `[${subject}]`)
      const rendered = html.render({ subject, name: 'secret' })
      assert.doesNotMatch(rendered, /[<>"']|secret/)
      const read = rendered.replace(/&(lt|gt|quot|#39|amp);/g, (_, entity: string) =>
        entity === 'lt'
          ? '<'
          : entity === 'gt'
            ? '>'
            : entity === 'quot'
              ? '"'
              : entity === 'amp'
                ? '&'
                : "'",
      )
      assert.equal(read, `[${subject}]`)
    }),
    { numRuns: 300 },
  )
})
