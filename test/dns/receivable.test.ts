import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSenderDomainCheck, type Receivability } from '../../src/dns/receivable.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { createManualClock } from '../support/manual-clock.ts'
import {
  createFakeResolver,
  domain,
  type FakeAnswers,
  mx,
  NO_DATA,
  NO_NAME,
  records,
  TROUBLE,
} from './fake-resolver.ts'

const EXAMPLE = domain('example.test')
const DAY_MS = 86_400_000

function setUp(answers: FakeAnswers, hasFixedRoute = false) {
  const clock = createManualClock()
  const resolver = createFakeResolver(answers)
  const check = createSenderDomainCheck({
    resolver,
    random: systemRandom,
    clock,
    hasFixedRoute: () => hasFixedRoute,
  })
  return { clock, resolver, check }
}

const cases: Readonly<Record<string, readonly [FakeAnswers, Receivability]>> = {
  'a domain with MX receives': [{ mx: mx('10 mx.test') }, 'receives'],
  'a domain with an address only receives': [{ mx: NO_DATA, a: records(['192.0.2.1']) }, 'receives'],
  'a null MX says that it does not': [{ mx: mx('0 .') }, 'null-mx'],
  'a domain without records has nothing': [{ mx: NO_DATA, a: NO_DATA, aaaa: NO_DATA }, 'nothing'],
  'a domain whose MX names are unusable has nothing': [{ mx: mx('10 192.0.2.1') }, 'nothing'],
  'a domain that does not exist has nothing': [{ mx: NO_NAME }, 'nothing'],
  'trouble is unknown': [{ mx: TROUBLE }, 'unknown'],
}

for (const [what, [answers, expected]] of Object.entries(cases)) {
  test(`S6: ${what}`, async () => assert.equal(await setUp(answers).check(EXAMPLE), expected))
}

test('S6: a domain with a fixed route receives, and DNS is not asked', async () => {
  const { check, resolver } = setUp({ mx: NO_NAME }, true)
  assert.equal(await check(EXAMPLE), 'receives')
  assert.deepEqual(resolver.asked, [])
})

test('S6: in trouble, a domain that could receive within the last 24 h still counts', async () => {
  const answers: FakeAnswers = { mx: mx('10 mx.test') }
  const { check, clock } = setUp(answers)
  assert.equal(await check(EXAMPLE), 'receives')
  answers.mx = TROUBLE
  await clock.advance(DAY_MS - 1)
  assert.equal(await check(EXAMPLE), 'receives')
  assert.equal(await check(domain('other.test')), 'unknown')
  await clock.advance(1)
  assert.equal(await check(EXAMPLE), 'unknown')
})

test('S6: a domain that has stopped receiving is not remembered', async () => {
  for (const [gone, expected] of [
    [NO_NAME, 'nothing'],
    [mx('0 .'), 'null-mx'],
  ] as const) {
    const answers: FakeAnswers = { mx: mx('10 mx.test') }
    const { check } = setUp(answers)
    await check(EXAMPLE)
    answers.mx = gone
    assert.equal(await check(EXAMPLE), expected)
    answers.mx = TROUBLE
    assert.equal(await check(EXAMPLE), 'unknown')
  }
})
