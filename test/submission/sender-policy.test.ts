import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Customer } from '../../src/accounts/account.ts'
import { parseDomain } from '../../src/smtp/domain.ts'
import { mailboxFrom } from '../../src/smtp/mailbox.ts'
import { formatReply } from '../../src/smtp/reply.ts'
import { createSenderPolicy } from '../../src/submission/sender-policy.ts'
import { submissionSettings } from '../../src/submission/settings.ts'

const domain = (text: string) => parseDomain(text) ?? assert.fail(text)
const customer: Customer = {
  name: 'office',
  domains: [
    domain('office.example'),
    domain('localhost'),
    domain('pc.local'),
    domain('null.example'),
    domain('none.example'),
    domain('dns.example'),
  ],
  addresses: ['one@elsewhere.example'],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
}
const abilities = new Map<string, 'null-mx' | 'nothing' | 'unknown'>([
  ['null.example', 'null-mx'],
  ['none.example', 'nothing'],
  ['dns.example', 'unknown'],
])
const policy = createSenderPolicy(
  async (name) => abilities.get(name) ?? 'receives',
  submissionSettings.parse({}),
)
const judge = async (address: string, who = customer): Promise<string | null> => {
  const reply = await policy(address === '' ? null : (mailboxFrom(address) ?? assert.fail(address)), who)
  return reply === null ? null : formatReply(reply)
}

describe('S4, S6: who may send as whom', () => {
  const allowed = [
    'max@office.example',
    'MAX@OFFICE.EXAMPLE',
    'one@elsewhere.example',
    'One@Elsewhere.example',
    'reply@office.example',
  ]
  for (const address of allowed) test(`${address} may`, async () => assert.equal(await judge(address), null))
  const refused: [string, string][] = [
    [
      'two@elsewhere.example',
      '550 5.7.1 The sender two@elsewhere.example is not licensed for this account; use a licensed address or have this one added',
    ],
    [
      'max@sub.office.example',
      '550 5.7.1 The sender max@sub.office.example is not licensed for this account; use a licensed address or have this one added',
    ],
    [
      '',
      '550 5.7.1 Mail without a sender address is not accepted here; use an address that can receive replies',
    ],
    [
      'noreply@office.example',
      '550 5.7.1 The sender noreply@office.example looks like an address that nobody reads; use one that can receive replies',
    ],
    [
      'No-Reply@office.example',
      '550 5.7.1 The sender No-Reply@office.example looks like an address that nobody reads; use one that can receive replies',
    ],
    [
      'bitte-nicht-antworten@office.example',
      '550 5.7.1 The sender bitte-nicht-antworten@office.example looks like an address that nobody reads; use one that can receive replies',
    ],
    [
      'x@localhost',
      '550 5.1.8 The sender x@localhost belongs to an internal domain that cannot receive mail; use your public address',
    ],
    [
      'x@pc.local',
      '550 5.1.8 The sender x@pc.local belongs to an internal domain that cannot receive mail; use your public address',
    ],
    [
      'x@srv.intern',
      '550 5.1.8 The sender x@srv.intern belongs to an internal domain that cannot receive mail; use your public address',
    ],
    [
      'x@null.example',
      '550 5.7.27 The domain of the sender x@null.example declares that it takes no mail (null MX)',
    ],
    [
      'x@none.example',
      '550 5.1.8 The domain of the sender x@none.example has no mail server, so replies and notices cannot arrive',
    ],
    [
      'x@dns.example',
      '451 4.4.3 The domain of the sender x@dns.example cannot be looked up right now; try again in a few minutes',
    ],
  ]
  for (const [address, reply] of refused) {
    test(`<${address}> is refused with its own sentence`, async () =>
      assert.equal(await judge(address), reply))
  }
  test('a customer whose mail server sends notices may use the null reverse-path', async () => {
    assert.equal(await judge('', { ...customer, nullReversePathAllowed: true }), null)
  })
})
