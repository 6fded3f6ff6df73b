import assert from 'node:assert/strict'
import { test } from 'node:test'
import { owedItems } from '../../src/notification/owed.ts'
import { NOTICE_KINDS } from '../../src/notification/texts.ts'
import type { NoticeKind } from '../../src/queue/notice.ts'
import type { Outcome } from '../../src/queue/outcome.ts'
import type { Notify } from '../../src/smtp/dsn-parameters.ts'
import { claimOf, deferred, delivered, failure, messageMeta } from './fixtures.ts'

const OUTCOMES: Readonly<Record<NoticeKind, Outcome>> = {
  failed: failure(),
  delayed: deferred(),
  relayed: delivered(),
  'delay-over': delivered(),
}

/** Who is told what: NOTIFY, then for each kind whether its notice is owed. */
const TABLE: readonly [Notify, Readonly<Record<NoticeKind, boolean>>][] = [
  [null, { failed: true, delayed: true, relayed: false, 'delay-over': true }],
  ['never', { failed: false, delayed: false, relayed: false, 'delay-over': false }],
  [['failure'], { failed: true, delayed: false, relayed: false, 'delay-over': false }],
  [['delay'], { failed: false, delayed: true, relayed: false, 'delay-over': true }],
  [['success'], { failed: false, delayed: false, relayed: true, 'delay-over': false }],
  [['success', 'failure'], { failed: true, delayed: false, relayed: true, 'delay-over': false }],
  [['failure', 'delay'], { failed: true, delayed: true, relayed: false, 'delay-over': true }],
  [['success', 'failure', 'delay'], { failed: true, delayed: true, relayed: true, 'delay-over': false }],
]

for (const [notify, expected] of TABLE) {
  test(`N3: NOTIFY=${notify ?? 'absent'} owes exactly the notices of RFC 3461 §4.1`, () => {
    const message = messageMeta()
    for (const kind of NOTICE_KINDS) {
      const claim = claimOf({
        message,
        dsn: { notify, orcpt: null },
        state: { delayNotified: kind === 'delay-over' },
      })
      const owed = owedItems(kind, message, [{ claim, outcome: OUTCOMES[kind] }])
      assert.equal(owed.length, expected[kind] ? 1 : 0, kind)
    }
  })
}

test('N4: a notice is never answered by another notice, nor is anything sent to the null reverse-path', () => {
  for (const message of [
    messageMeta({ kind: 'notification' }),
    messageMeta({ envelope: { reversePath: null } }),
  ]) {
    for (const kind of NOTICE_KINDS) {
      const claim = claimOf({ message, dsn: { notify: ['success', 'failure', 'delay'], orcpt: null } })
      assert.deepEqual(owedItems(kind, message, [{ claim, outcome: OUTCOMES[kind] }]), [])
    }
  }
})

test('N2: there is one delay notice, and its end is told only to whom the delay was told', () => {
  const message = messageMeta()
  const told = claimOf({ message, state: { delayNotified: true } })
  const untold = claimOf({ message })
  assert.deepEqual(owedItems('delayed', message, [{ claim: told, outcome: deferred() }]), [])
  assert.equal(owedItems('delayed', message, [{ claim: untold, outcome: deferred() }]).length, 1)
  assert.equal(owedItems('delay-over', message, [{ claim: told, outcome: delivered() }]).length, 1)
  assert.deepEqual(owedItems('delay-over', message, [{ claim: untold, outcome: delivered() }]), [])
})

test('N3: our own notice is owed although the next hop promised to answer for NOTIFY itself', () => {
  const message = messageMeta()
  const claim = claimOf({ message, dsn: { notify: ['success'], orcpt: null } })
  assert.equal(
    owedItems('relayed', message, [{ claim, outcome: delivered({ dsnPassedOn: true }) }]).length,
    1,
  )
})

test('N1: recipients who want no notice are left out of the notice for the others', () => {
  const message = messageMeta()
  const items = [
    { claim: claimOf({ message, address: 'a@kunde.example' }), outcome: failure() },
    {
      claim: claimOf({ message, address: 'b@kunde.example', dsn: { notify: 'never', orcpt: null } }),
      outcome: failure(),
    },
    { claim: claimOf({ message, address: 'c@kunde.example' }), outcome: failure() },
  ]
  assert.deepEqual(
    owedItems('failed', message, items).map(({ claim }) => claim.recipient.forwardPath.text),
    ['a@kunde.example', 'c@kunde.example'],
  )
})
