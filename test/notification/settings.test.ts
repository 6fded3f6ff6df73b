import assert from 'node:assert/strict'
import { test } from 'node:test'
import { notificationSettings } from '../../src/notification/settings.ts'

test('O6: notices work without any setting: German first, TLS where possible, the subject in them', () => {
  assert.deepEqual(notificationSettings.parse(undefined), {
    from: { name: 'secureTransport Mailsystem', address: null },
    languages: ['de', 'en'],
    templates: null,
    timeZone: 'Europe/Berlin',
    requireTls: false,
    subjectInNotices: true,
    lifetime: 120 * 3_600_000,
  })
})

const invalid: readonly Record<string, unknown>[] = [
  { languages: [] },
  { languages: ['de', 'de'] },
  { languages: ['../etc'] },
  { timeZone: 'Mars/Olympus' },
  { lifetime: '1s' },
  { from: { name: '' } },
  { from: { address: 'not an address' } },
  { subject: true },
]

for (const settings of invalid) {
  test(`O6: the settings ${JSON.stringify(settings)} are refused`, () => {
    assert.equal(notificationSettings.safeParse(settings).success, false)
  })
}
