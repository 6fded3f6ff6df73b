import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCachingResolver } from '../../src/dns/cache.ts'
import type { Answer } from '../../src/dns/resolver.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createFakeResolver, domain, NO_DATA, NO_NAME, records, TROUBLE } from './fake-resolver.ts'

const NAME = domain('example.test')
const DAY_MS = 86_400_000

const lives: Readonly<Record<string, readonly [Answer<string>, number]>> = {
  'records as long as they say': [records(['192.0.2.1'], false, 60), 60_000],
  'records without a life at least 5 s': [records(['192.0.2.1'], false, 0), 5000],
  'records with an endless life one day': [records(['192.0.2.1'], false, 2 ** 31 - 1), DAY_MS],
  '"no data" as long as it says': [{ ...NO_DATA, ttlSeconds: 120 }, 120_000],
  '"no name" one hour at most': [{ ...NO_NAME, ttlSeconds: 86_400 }, 3_600_000],
  'trouble 5 s': [TROUBLE, 5000],
}

for (const [what, [answer, lifeMs]] of Object.entries(lives)) {
  test(`T7: the cache keeps ${what}`, async () => {
    const clock = createManualClock()
    const inner = createFakeResolver({ a: answer })
    const resolver = createCachingResolver(inner, clock, { cacheEntriesMax: 10 })
    assert.deepEqual(await resolver.a(NAME), answer)
    await clock.advance(lifeMs - 1)
    assert.deepEqual(await resolver.a(NAME), answer)
    assert.equal(inner.asked.length, 1)
    await clock.advance(1)
    assert.deepEqual(await resolver.a(NAME), answer)
    assert.equal(inner.asked.length, 2)
  })
}

test('T7: identical questions that are under way are asked once', async () => {
  const inner = createFakeResolver({ a: records(['192.0.2.1']) })
  const resolver = createCachingResolver(inner, createManualClock(), { cacheEntriesMax: 0 })
  const answers = await Promise.all([resolver.a(NAME), resolver.a(NAME), resolver.a(NAME)])
  assert.deepEqual(answers, [records(['192.0.2.1']), records(['192.0.2.1']), records(['192.0.2.1'])])
  assert.deepEqual(inner.asked, ['A example.test'])
})

test('T7: types and names are kept apart', async () => {
  const inner = createFakeResolver({ a: records(['192.0.2.1']), aaaa: NO_DATA })
  const resolver = createCachingResolver(inner, createManualClock(), { cacheEntriesMax: 10 })
  await Promise.all([resolver.a(NAME), resolver.aaaa(NAME), resolver.mx(NAME), resolver.a(domain('b.test'))])
  await Promise.all([resolver.txt(NAME), resolver.tlsa(NAME)])
  assert.deepEqual(inner.asked, [
    'A example.test',
    'AAAA example.test',
    'MX example.test',
    'A b.test',
    'TXT example.test',
    'TLSA example.test',
  ])
})

test('T7: the cache holds no more than it may', async () => {
  const inner = createFakeResolver({ a: records(['192.0.2.1']) })
  const resolver = createCachingResolver(inner, createManualClock(), { cacheEntriesMax: 2 })
  for (const name of ['a.test', 'b.test', 'c.test', 'c.test', 'b.test', 'a.test'])
    await resolver.a(domain(name))
  assert.deepEqual(inner.asked, ['A a.test', 'A b.test', 'A c.test', 'A a.test'])
})
