import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CleartextChannel, openCleartext, type TlsChannel } from '../../src/delivery/client/channel.ts'
import { transact } from '../../src/delivery/client/transaction.ts'
import type { Wire } from '../../src/delivery/client/wire.ts'
import { type HandshakeFacts, judgeHandshake } from '../../src/delivery/security/judgement.ts'
import { requirementFor } from '../../src/delivery/security/requirement.ts'
import type { Partner } from '../../src/delivery/settings.ts'
import { compareLevels, SECURITY_LEVELS } from '../../src/smtp/security-level.ts'
import { domain, newMessage } from './harness.ts'

const partner = (level: Partner['level'], fixed = false): Partner => ({
  domain: domain('recipient.test'),
  hosts: fixed ? [{ kind: 'address', host: '192.0.2.1', port: null }] : [],
  level,
})
const message = (meta: Parameters<typeof newMessage>[0]) => newMessage(meta).meta

const table: readonly [
  name: string,
  requirement: ReturnType<typeof requirementFor>,
  level: string,
  permit: boolean,
][] = [
  ['the default holds', requirementFor(message({}), null, 'encrypt'), 'encrypt', false],
  [
    'a message raises it',
    requirementFor(message({ meta: { level: 'verify' } }), null, 'encrypt'),
    'verify',
    false,
  ],
  [
    'a message cannot lower it',
    requirementFor(message({ meta: { level: 'may' } }), null, 'verify'),
    'verify',
    false,
  ],
  [
    'a partner entry replaces it',
    requirementFor(message({}), partner('encrypt'), 'verify'),
    'encrypt',
    false,
  ],
  [
    'a permit lowers it',
    requirementFor(message({ meta: { permit: 'subject-tag' } }), null, 'verify'),
    'may',
    true,
  ],
  [
    'a permit beside a demand for more is void',
    requirementFor(message({ meta: { permit: 'subject-tag', level: 'verify' } }), null, 'encrypt'),
    'verify',
    false,
  ],
  [
    'REQUIRETLS outranks a permit',
    requirementFor(
      message({ meta: { permit: 'x-klartext' }, envelope: { requireTls: true } }),
      null,
      'encrypt',
    ),
    'secure',
    false,
  ],
]
for (const [name, requirement, level, permit] of table) {
  test(`T4 M5: ${name}`, () => {
    assert.deepEqual([requirement.level, requirement.permit !== null], [level, permit])
  })
}

test('M5: no combination of inputs yields a permit beside REQUIRETLS or less than the message asks for', () => {
  const level = fc.constantFrom(...SECURITY_LEVELS)
  const permit = fc.constantFrom(
    null,
    'subject-tag' as const,
    'x-klartext' as const,
    'tls-required-no' as const,
  )
  fc.assert(
    fc.property(
      level,
      level,
      fc.option(level, { nil: undefined }),
      permit,
      fc.boolean(),
      (own, asked, theirs, source, requireTls) => {
        const meta = message({ meta: { level: asked, permit: source }, envelope: { requireTls } })
        const requirement = requirementFor(meta, theirs === undefined ? null : partner(theirs), own)
        if (requireTls || source === null) assert.equal(requirement.permit, null)
        if (requirement.permit === null) assert(compareLevels(requirement.level, asked) >= 0)
        if (requireTls) assert(compareLevels(requirement.level, 'secure') >= 0)
      },
    ),
  )
})

const facts = (changes: Partial<HandshakeFacts> = {}): HandshakeFacts => ({
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  group: 'X25519',
  certificateSha256: 'ab',
  chainTrusted: true,
  nameMatches: true,
  resumed: false,
  ...changes,
})
const judged: readonly [
  name: string,
  wanted: (typeof SECURITY_LEVELS)[number],
  fixed: boolean,
  facts: HandshakeFacts,
  result: string,
][] = [
  [
    'encrypt takes any certificate',
    'encrypt',
    false,
    facts({ chainTrusted: false, nameMatches: false }),
    'encrypt none',
  ],
  ['a good certificate is recorded', 'encrypt', false, facts(), 'verify pkix'],
  [
    'verify needs the chain',
    'verify',
    false,
    facts({ chainTrusted: false }),
    'the certificate does not chain to a trusted root',
  ],
  [
    'verify needs the name',
    'verify',
    false,
    facts({ nameMatches: false }),
    'the certificate does not name the host',
  ],
  ['verify is reached', 'verify', false, facts(), 'verify pkix'],
  [
    'secure is not reached through DNS alone',
    'secure',
    false,
    facts(),
    'level secure needs more than a certificate that names the host',
  ],
  ['secure is reached with hosts that the operator fixed', 'secure', true, facts(), 'qualified partner'],
  [
    'qualified needs a suite of the BSI',
    'qualified',
    true,
    facts({ cipher: 'TLS_CHACHA20_POLY1305_SHA256' }),
    'level qualified needs more than a certificate that names the host',
  ],
  [
    'TLS 1.1 is never enough',
    'may',
    false,
    facts({ protocol: 'TLSv1.1' }),
    'TLSv1.1 with TLS_AES_256_GCM_SHA384 is too weak',
  ],
  [
    'CBC is never enough',
    'may',
    false,
    facts({ protocol: 'TLSv1.2', cipher: 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256' }),
    'TLSv1.2 with TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 is too weak',
  ],
  [
    'RSA key exchange is never enough',
    'may',
    false,
    facts({ protocol: 'TLSv1.2', cipher: 'TLS_RSA_WITH_AES_128_GCM_SHA256' }),
    'TLSv1.2 with TLS_RSA_WITH_AES_128_GCM_SHA256 is too weak',
  ],
]
for (const [name, wanted, fixedHosts, shown, result] of judged) {
  test(`T4: ${name}`, () => {
    const judgement = judgeHandshake({ level: wanted, permit: null, fixedHosts, requireTls: false }, shown)
    const text =
      judgement.kind === 'fulfilled'
        ? `${judgement.evidence.level} ${judgement.evidence.authenticatedBy}`
        : judgement.reason
    assert.equal(text, result)
  })
}

test('T1: a hand-over in the clear without a permit does not type-check', () => {
  // Checked by tsc, never run: each line must be a type error.
  const never = (
    wire: Wire,
    order: Parameters<typeof transact>[1],
    timeouts: Parameters<typeof transact>[2],
  ): void => {
    // @ts-expect-error a wire is no channel
    void transact(wire, order, timeouts)
    // @ts-expect-error null is no permit
    openCleartext(wire, null)
    // @ts-expect-error a permit cannot be imitated
    openCleartext(wire, { source: 'subject-tag' })
    const evidence = { kind: 'cleartext', permitSource: '' } as const
    // @ts-expect-error nor can a channel
    void transact({ kind: 'cleartext', wire, evidence }, order, timeouts)
    // @ts-expect-error or a channel under TLS
    const imitation: TlsChannel | CleartextChannel = { kind: 'tls', wire }
    void imitation
  }
  assert.equal(typeof never, 'function')
})
