// The accounts of the crash soak can tell a broken promise from a kept one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ANSWER_TO_COMMIT_MAX_MS, createLedger, type Ledger, type LedgerReport } from './ledger.ts'
import { soakMail } from './soak-mail.ts'

const MAIL = {
  ...soakMail(1, 7),
  forwardPaths: ['a@one.test', 'b@one.test'],
}

const NOTHING: LedgerReport = {
  accepted: 0,
  delivered: 0,
  lost: 0,
  deliveries: 0,
  duplicated: 0,
  duplicatedUnanswered: 0,
  duplicatedAnswered: 0,
  longestAnswerToEndMs: 0,
  unexplained: 0,
  unacknowledged: 0,
  torn: 0,
  damaged: 0,
  unexpected: 0,
  refused: 0,
  problems: [],
}
const KEPT = { accepted: 1, delivered: 1, deliveries: 2 }

const arrive = (ledger: Ledger, run: number, answeredAt: number | null, paths = MAIL.forwardPaths): void => {
  const { number, bodyHash } = MAIL
  for (const copy of ledger.arrive({ number, bodyHash, forwardPaths: paths, run }))
    copy.answeredAt = answeredAt
}

const cases: readonly {
  readonly name: string
  readonly happens: (ledger: Ledger) => void
  readonly report: Partial<LedgerReport>
}[] = [
  {
    name: 'a mail that was promised and came once is delivered',
    happens(ledger) {
      arrive(ledger, 0, 1)
      ledger.accept(7, 'q1')
    },
    report: KEPT,
  },
  {
    name: 'a mail that was promised and did not come to one of its recipients is lost',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, 1, ['a@one.test'])
    },
    report: { ...KEPT, delivered: 0, lost: 1, problems: ['mail 7 (q1) never came to b@one.test'] },
  },
  {
    name: 'a mail with another body is damaged, and lost',
    happens(ledger) {
      ledger.accept(7, 'q1')
      ledger.arrive({ number: 7, forwardPaths: MAIL.forwardPaths, bodyHash: 'other', run: 3 })
    },
    report: {
      ...KEPT,
      delivered: 0,
      lost: 1,
      damaged: 1,
      problems: ['mail 7 (q1) has another body in run 3', 'mail 7 (q1) never came to a@one.test, b@one.test'],
    },
  },
  {
    name: 'a mail at somebody else is damage',
    happens: (ledger) => arrive(ledger, 0, 1, ['a@one.test', 'c@one.test']),
    report: { damaged: 1, problems: ['mail 7 (null) came to c@one.test in run 0'] },
  },
  {
    name: 'a mail without a 250 may come, to all of its recipients',
    happens: (ledger) => arrive(ledger, 0, 1),
    report: { unacknowledged: 1 },
  },
  {
    name: 'a mail without a 250 that comes to some of its recipients is torn',
    happens: (ledger) => arrive(ledger, 0, 1, ['b@one.test']),
    report: {
      unacknowledged: 1,
      torn: 1,
      problems: ['mail 7, not acknowledged, came in part: not to a@one.test'],
    },
  },
  {
    name: 'a repeat after a kill before the reply is explained',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, null, ['a@one.test'])
      ledger.end(0, 100)
      arrive(ledger, 1, 200)
    },
    report: { ...KEPT, duplicated: 1, duplicatedUnanswered: 1 },
  },
  {
    name: 'a repeat after a kill a moment after the reply is explained',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, 90)
      ledger.end(0, 100)
      arrive(ledger, 1, 200, ['b@one.test'])
    },
    report: { ...KEPT, duplicated: 1, duplicatedAnswered: 1, longestAnswerToEndMs: 10 },
  },
  {
    name: 'a disk that hangs ends what can be written down, the kill follows',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, 90)
      ledger.end(0, 100)
      ledger.end(0, 5000)
      arrive(ledger, 1, 6000, ['b@one.test'])
    },
    report: { ...KEPT, duplicated: 1, duplicatedAnswered: 1, longestAnswerToEndMs: 10 },
  },
  {
    name: 'a repeat by the same gateway is not explained',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, null)
      arrive(ledger, 0, 95, ['b@one.test'])
      ledger.end(0, 100)
    },
    report: {
      ...KEPT,
      duplicated: 1,
      unexplained: 1,
      problems: ['mail 7 to b@one.test came in run 0 and again in run 0, answered 0 ms before the end'],
    },
  },
  {
    name: 'a repeat of what was answered long before the kill is not explained',
    happens(ledger) {
      ledger.accept(7, 'q1')
      arrive(ledger, 0, 90)
      ledger.end(0, 91 + ANSWER_TO_COMMIT_MAX_MS)
      arrive(ledger, 1, 5000, ['a@one.test'])
    },
    report: {
      ...KEPT,
      duplicated: 1,
      unexplained: 1,
      problems: [
        `mail 7 to a@one.test came in run 0 and again in run 1, answered ${ANSWER_TO_COMMIT_MAX_MS + 1} ms before the end`,
      ],
    },
  },
  {
    name: 'a notice of the gateway is unexpected, a refusal is counted',
    happens(ledger) {
      ledger.refuse(7, '451 4.3.0 later')
      ledger.arrive({ number: null, forwardPaths: ['sender@sender.test'], bodyHash: '', run: 2 })
    },
    report: {
      refused: 1,
      unexpected: 1,
      problems: [
        'mail 7 was refused: 451 4.3.0 later',
        'a mail that nobody sent came to sender@sender.test in run 2',
      ],
    },
  },
]

describe('the ledger of the crash soak', () => {
  for (const { name, happens, report } of cases) {
    test(name, () => {
      const ledger = createLedger()
      ledger.begin(MAIL)
      happens(ledger)
      assert.deepEqual(ledger.report(), { ...NOTHING, ...report })
    })
  }

  test('what is outstanding was promised and has not come', () => {
    const ledger = createLedger()
    ledger.begin(MAIL)
    arrive(ledger, 0, 1, ['a@one.test'])
    assert.equal(ledger.outstanding, 0)
    ledger.accept(7, 'q1')
    assert.equal(ledger.outstanding, 1)
    arrive(ledger, 1, 1, ['a@one.test'])
    assert.equal(ledger.outstanding, 1)
    arrive(ledger, 1, 1, ['b@one.test'])
    assert.equal(ledger.outstanding, 0)
  })
})
