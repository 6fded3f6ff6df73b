import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Customer } from '../../src/accounts/account.ts'
import { isLicensed } from '../../src/accounts/licence.ts'
import { type Domain, parseDomain } from '../../src/smtp/domain.ts'
import { type Mailbox, mailboxFrom } from '../../src/smtp/mailbox.ts'

const domain = (text: string): Domain => parseDomain(text) ?? assert.fail(text)
const mailbox = (text: string): Mailbox => mailboxFrom(text) ?? assert.fail(text)

const customer: Customer = {
  name: 'Kanzlei Muster',
  domains: [domain('muster.example'), domain('müller.example')],
  addresses: ['frau.holle@freemail.example'],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
}

const valid = [
  'anyone@muster.example',
  'Any.One@MUSTER.example',
  'office@müller.example',
  'office@xn--mller-kva.example',
  'frau.holle@freemail.example',
  'Frau.Holle@Freemail.Example',
]
const invalid = [
  'anyone@mail.muster.example',
  'anyone@notmuster.example',
  'anyone@muster.example.org',
  'frau@freemail.example',
  'frau.holle+x@freemail.example',
  'frau.holle@mail.freemail.example',
  'office@muller.example',
]

for (const text of valid) {
  test(`S4: ${text} may be used`, () => assert.equal(isLicensed(customer, mailbox(text)), true))
}
for (const text of invalid) {
  test(`S4: ${text} may not be used`, () => assert.equal(isLicensed(customer, mailbox(text)), false))
}
