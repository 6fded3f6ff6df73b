// A resolver from a table, for what builds on answers: no network, and it counts the questions.
import assert from 'node:assert/strict'
import type { Answer, MxRecord, Resolver } from '../../src/dns/resolver.ts'
import { type Domain, parseDomain } from '../../src/smtp/domain.ts'

export const NO_NAME = { kind: 'no-name', secure: false, ttlSeconds: 60 } as const
export const NO_DATA = { kind: 'no-data', secure: false, ttlSeconds: 60 } as const
export const TROUBLE = { kind: 'trouble', reason: 'SERVFAIL' } as const

/** Records as an answer; not secure unless told so. */
export const records = <T>(items: readonly T[], secure = false, ttlSeconds = 60): Answer<T> => ({
  kind: 'records',
  records: items,
  secure,
  ttlSeconds,
  canonicalName: 'canonical.test',
})

/** `10 mx.test` as MX records. */
export const mx = (...texts: readonly string[]): Answer<MxRecord> => records(mxRecords(texts))

const mxRecords = (texts: readonly string[]): MxRecord[] =>
  texts.map((text) => {
    const blank = text.indexOf(' ')
    return { preference: Number(text.slice(0, blank)), exchange: text.slice(blank + 1) }
  })

export interface FakeAnswers {
  mx?: Answer<MxRecord>
  a?: Answer<string>
  aaaa?: Answer<string>
}

/** Answers every name with `answers` as they are when the question comes; without one the name does not exist. */
export function createFakeResolver(answers: FakeAnswers): Resolver & { readonly asked: string[] } {
  const asked: string[] = []
  const answering =
    <T>(type: string, pick: () => Answer<T> | undefined) =>
    async (name: string) => {
      asked.push(`${type} ${name}`)
      return pick() ?? NO_NAME
    }
  return {
    asked,
    mx: answering('MX', () => answers.mx),
    a: answering('A', () => answers.a),
    aaaa: answering('AAAA', () => answers.aaaa),
    txt: answering('TXT', () => undefined),
    tlsa: answering('TLSA', () => undefined),
    stop: () => {},
  }
}

export function domain(text: string): Domain {
  const parsed = parseDomain(text)
  assert.ok(parsed, text)
  return parsed
}
