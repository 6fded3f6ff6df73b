// One transaction for what piled up; nobody sinks for somebody else's fault. On a stand-in for SQLite.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createGroupCommit, type Job } from '../../src/store/sqlite/writer/group-commit.ts'
import type { Handlers } from '../../src/store/sqlite/writer/handlers.ts'
import type { Answer, Operation } from '../../src/store/sqlite/writer/protocol.ts'

class SqliteError extends Error {
  readonly errcode: number
  constructor(errcode: number) {
    super(`error ${errcode}`)
    this.errcode = errcode
  }
}

const CONSTRAINT = 19
const BUSY = 5
const FULL = 13
const IOERR_FSYNC = 1034

/** `fail` is asked at each statement and each operation, in the words of `script`. */
function setUp(fail: (step: string) => number | null) {
  const script: string[] = []
  const step = (text: string): null => {
    script.push(text)
    const errcode = fail(text)
    if (errcode !== null) throw new SqliteError(errcode)
    return null
  }
  const reports: string[] = []
  const handlers = new Proxy({} as Handlers, {
    get: (_, operation) => (takes: string) => step(`${String(operation)} ${takes}`),
  })
  const group = createGroupCommit({
    queue: { exec: (sql) => void step(sql) },
    handlers,
    dropBallast: () => {
      script.push('drop ballast')
      return true
    },
    onFull: () => reports.push('full'),
    onBroken: (message) => reports.push(`broken: ${message}`),
  })
  const run = (...work: [Operation, string][]): Answer[] => {
    const answers: Answer[] = []
    const jobs = work.map(
      ([operation, takes], id): Job => ({
        request: { id, operation, takes, from: 0, size: 0 },
        octets: new Uint8Array(),
      }),
    )
    group.run(jobs, (some) => answers.push(...some))
    return answers
  }
  return { run, script, reports, group }
}

const kinds = (answers: readonly Answer[]): string[] =>
  answers.map((answer) => (answer.kind === 'fault' ? answer.code : answer.kind))

describe('group commit', () => {
  it('all writes of a batch share one transaction; reads come after it', () => {
    const { run, script } = setUp(() => null)
    assert.deepEqual(kinds(run(['enqueue', 'a'], ['counts', 'r'], ['settle', 'b'])), [
      'result',
      'result',
      'result',
    ])
    assert.deepEqual(script, ['BEGIN IMMEDIATE', 'enqueue a', 'settle b', 'COMMIT', 'counts r'])
  })

  it('one bad request is rejected alone', () => {
    const { run, script, reports } = setUp((step) => (step === 'enqueue bad' ? CONSTRAINT : null))
    assert.deepEqual(kinds(run(['enqueue', 'a'], ['enqueue', 'bad'], ['settle', 'b'])), [
      'result',
      'internal',
      'result',
    ])
    assert.deepEqual(script.filter((step) => step === 'COMMIT').length, 2)
    assert.deepEqual(reports, [])
  })

  it('nothing is answered as done when the commit fails', () => {
    const { run, reports } = setUp((step) => (step === 'COMMIT' ? IOERR_FSYNC : null))
    assert.deepEqual(kinds(run(['enqueue', 'a'], ['settle', 'b'])), [
      'store-unavailable',
      'store-unavailable',
    ])
    assert.deepEqual(reports, ['broken: error 1034 (SQLite error 1034)'])
  })

  it('after an I/O error nothing is tried again', () => {
    let broken = true
    const { run, script, reports } = setUp((step) => (broken && step === 'COMMIT' ? IOERR_FSYNC : null))
    run(['enqueue', 'a'])
    broken = false
    script.length = 0
    assert.deepEqual(kinds(run(['enqueue', 'b'], ['settle', 'c'])), [
      'store-unavailable',
      'store-unavailable',
    ])
    assert.deepEqual(script, [])
    assert.equal(reports.length, 1)
  })

  it('a database that another process holds is a temporary trouble of the whole batch', () => {
    const { run, reports } = setUp((step) => (step === 'BEGIN IMMEDIATE' ? BUSY : null))
    assert.deepEqual(kinds(run(['enqueue', 'a'], ['settle', 'b'])), [
      'store-unavailable',
      'store-unavailable',
    ])
    assert.deepEqual(reports, [])
  })

  it('on a full disk new mail is refused, and ballast makes room for what drains the queue', () => {
    let space = 0
    const { run, script, reports, group } = setUp((step) =>
      step === 'COMMIT' && space === 0 && !script.includes('drop ballast') ? FULL : null,
    )
    assert.deepEqual(kinds(run(['enqueue', 'a'], ['settle', 'b'])), ['store-full', 'result'])
    assert.deepEqual(reports, ['full'])
    assert.deepEqual(kinds(run(['enqueue', 'c'], ['settle', 'd'])), ['store-full', 'result'])
    space = 1
    group.recovered()
    assert.deepEqual(kinds(run(['enqueue', 'e'])), ['result'])
  })
})
