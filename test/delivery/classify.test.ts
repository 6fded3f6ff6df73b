import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Stage } from '../../src/delivery/classify/reply-patterns.ts'
import { type HostFailure, standingFailure } from '../../src/delivery/classify/verdict.ts'
import { classifyReply, classifyTranscript, NOWHERE, ownFailure } from '../../src/delivery/classify.ts'
import type { Transcript } from '../../src/delivery/client/transaction.ts'
import { decodeReply, type Reply } from '../../src/smtp/reply.ts'
import type { TlsEvidence } from '../../src/smtp/tls-evidence.ts'
import { shortOutcome } from './harness.ts'

const reply = (text: string): Reply => decodeReply(Number(text.slice(0, 3)), [text.slice(4)])

const replies: readonly [stage: Stage, text: string, outcome: string, scope: string][] = [
  [
    'rcpt',
    '550 5.1.1 <x@y>: Recipient address rejected: User unknown',
    'failed 5.1.1 address-unknown',
    'recipient',
  ],
  ['rcpt', '550 no such user here', 'failed 5.1.1 address-unknown', 'recipient'],
  [
    'rcpt',
    '550 Requested action not taken: mailbox unavailable',
    'failed 5.1.1 address-unknown',
    'recipient',
  ],
  ['rcpt', '554 5.7.1 <x@y>: Relay access denied', 'failed 5.7.1 policy', 'recipient'],
  ['rcpt', '552 5.2.2 Mailbox full', 'failed 5.2.2 mailbox-full', 'recipient'],
  ['rcpt', '452 4.2.2 Over quota', 'deferred 4.2.2 mailbox-full', 'recipient'],
  ['rcpt', '552 sorry', 'failed 5.2.2 mailbox-full', 'recipient'],
  ['rcpt', '450 4.7.1 Greylisted, try again', 'deferred 4.7.1 policy', 'recipient'],
  ['rcpt', '450 try again', 'deferred 4.0.0 recipient-trouble', 'recipient'],
  ['rcpt', '450 5.1.1 not yet', 'deferred 4.0.0 address-unknown', 'recipient'],
  ['rcpt', '556 5.1.10 takes no mail', 'failed 5.1.10 domain-takes-no-mail', 'recipient'],
  ['rcpt', '421 4.7.0 too many', 'deferred 4.7.0 policy', 'session'],
  ['mail', '552 5.3.4 Message size exceeds fixed limit', 'failed 5.3.4 message-too-large', 'message'],
  ['mail', '451 4.7.1 slow down', 'deferred 4.7.1 policy', 'session'],
  ['mail', '550 5.7.1 Your IP is on a blocklist', 'failed 5.7.1 spam', 'message'],
  ['content', '552 5.2.3 Message length exceeds limit', 'failed 5.2.3 message-too-large', 'message'],
  ['content', '554 5.7.1 Message contains a virus', 'failed 5.7.1 virus', 'message'],
  [
    'content',
    '552 5.7.0 This message was blocked because its attachment is dangerous',
    'failed 5.7.0 attachment-refused',
    'message',
  ],
  ['content', '550 5.7.1 this looks like spam', 'failed 5.7.1 spam', 'message'],
  ['content', '554 5.4.6 Too many hops', 'failed 5.4.6 loop', 'message'],
  ['content', '554 transaction failed', 'failed 5.0.0 unknown', 'message'],
  ['content', '299 odd', 'deferred 4.0.0 recipient-trouble', 'message'],
  ['data', '354 odd', 'deferred 4.0.0 recipient-trouble', 'message'],
  ['greeting', '554 5.7.1 not you', 'deferred 4.3.0 policy', 'host'],
  ['greeting', '421 4.3.2 busy', 'deferred 4.3.2 recipient-trouble', 'host'],
]
for (const [stage, text, outcome, scope] of replies) {
  test(`N1: "${text}" to ${stage} is ${outcome} for the ${scope}`, () => {
    const failure = classifyReply(reply(text), stage, NOWHERE)
    assert.equal(shortOutcome(failure), outcome)
    assert.equal(failure.scope, scope)
  })
}

const TLS: TlsEvidence = {
  kind: 'tls',
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  group: null,
  certificateSha256: '',
  authenticatedBy: 'none',
  level: 'encrypt',
  resumed: false,
}
const transcript = (changes: Partial<Transcript>): Transcript => ({
  mail: reply('250 ok'),
  recipients: [reply('250 ok'), reply('550 5.1.1 no')],
  data: reply('354 go'),
  final: reply('250 taken'),
  trouble: null,
  inDoubt: false,
  fenced: false,
  reusable: true,
  ...changes,
})
const closed = { kind: 'closed', detail: 'gone.' } as const

const transcripts: readonly [name: string, transcript: Transcript, outcomes: readonly string[]][] = [
  ['each recipient has its own result', transcript({}), ['delivered', 'failed 5.1.1 address-unknown']],
  [
    'a refused message fails those accepted',
    transcript({ final: reply('550 5.7.1 spam') }),
    ['failed 5.7.1 spam', 'failed 5.1.1 address-unknown'],
  ],
  [
    'a refused MAIL outranks replies to RCPT',
    transcript({
      mail: reply('451 4.3.0 later'),
      recipients: [reply('503 x'), reply('503 x')],
      data: reply('503 x'),
      final: null,
    }),
    ['deferred 4.3.0 recipient-trouble', 'deferred 4.3.0 recipient-trouble'],
  ],
  [
    'a refused DATA defers those accepted',
    transcript({ data: reply('451 4.3.0 later'), final: null }),
    ['deferred 4.3.0 recipient-trouble', 'failed 5.1.1 address-unknown'],
  ],
  [
    'lost before the dot',
    transcript({ final: null, trouble: closed }),
    ['deferred 4.4.2 connection-trouble', 'failed 5.1.1 address-unknown'],
  ],
  [
    'lost after the dot',
    transcript({ final: null, trouble: closed, inDoubt: true }),
    ['deferred 4.4.2 connection-trouble', 'failed 5.1.1 address-unknown'],
  ],
  [
    '421 in the middle defers the rest',
    transcript({ recipients: [reply('250 ok'), reply('421 4.7.0 enough'), null], data: null, final: null }),
    ['deferred 4.7.0 policy', 'deferred 4.7.0 policy', 'deferred 4.7.0 policy'],
  ],
]
for (const [name, spoken, outcomes] of transcripts) {
  test(`transcript: ${name}`, () => {
    const standing = { place: NOWHERE.place, evidence: TLS }
    assert.deepEqual(classifyTranscript(spoken, standing, false).map(shortOutcome), outcomes)
  })
}

test('a connection lost before the dot is a reason for the next host, after it is not', () => {
  const standing = { place: NOWHERE.place, evidence: TLS }
  const scopeOf = (inDoubt: boolean): string => {
    const spoken = transcript({ recipients: [reply('250 ok')], final: null, trouble: closed, inDoubt })
    const [outcome] = classifyTranscript(spoken, standing, false)
    return outcome?.kind === 'deferred' ? outcome.scope : ''
  }
  assert.deepEqual([scopeOf(false), scopeOf(true)], ['session', 'message'])
})

const at = (host: string, kind: 'down' | 'no-tls' | 'busy' | 'stranger'): HostFailure => {
  const place = { mxHost: host, address: '192.0.2.1', port: 25 }
  const failures = {
    down: ownFailure('deferred', 'host', '4.4.1', 'connection-trouble', 'down', { place, evidence: null }),
    'no-tls': ownFailure('deferred', 'host', '4.7.10', 'no-encrypted-path', 'no', { place, evidence: null }),
    busy: ownFailure('deferred', 'session', '4.3.2', 'recipient-trouble', 'busy', { place, evidence: TLS }),
    stranger: ownFailure('deferred', 'host', '4.7.5', 'peer-not-authenticated', 'no', {
      place,
      evidence: TLS,
    }),
  }
  return { host, failure: failures[kind] }
}
const verdicts: readonly [name: string, failures: readonly HostFailure[], cause: string | undefined][] = [
  ['all hosts without TLS: no encrypted path', [at('a', 'no-tls'), at('b', 'no-tls')], 'no-encrypted-path'],
  [
    'one host down may offer TLS: connection trouble',
    [at('a', 'no-tls'), at('b', 'down')],
    'connection-trouble',
  ],
  [
    'a dead second address of the host without TLS changes nothing',
    [at('a', 'down'), at('a', 'no-tls')],
    'no-encrypted-path',
  ],
  [
    'a host with TLS that is busy wins',
    [at('a', 'busy'), at('b', 'no-tls'), at('c', 'down')],
    'recipient-trouble',
  ],
  [
    'a host that is not authenticated wins over those without TLS',
    [at('a', 'no-tls'), at('b', 'stranger')],
    'peer-not-authenticated',
  ],
  ['nothing tried', [], undefined],
]
for (const [name, failures, cause] of verdicts) {
  test(`T1: ${name}`, () => {
    assert.equal(standingFailure(failures)?.cause, cause)
  })
}
