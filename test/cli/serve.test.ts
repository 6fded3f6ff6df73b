import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { EXIT } from '../../src/cli/exit-code.ts'
import type { ServedRelay } from '../../src/cli/ports.ts'
import { runUntilSignal } from '../../src/cli/serve.ts'
import { Fault } from '../../src/runtime/fault.ts'
import { createConsole } from './console.ts'

function fixture(parts: Partial<ServedRelay> = {}) {
  const calls: unknown[] = []
  const started = new EventEmitter()
  const host = Object.assign(new EventEmitter(), { exit: (code: number) => void calls.push(['exit', code]) })
  const relay: ServedRelay = {
    start: async () => {
      calls.push('start')
      started.emit('start')
    },
    drain: async (limitMs) => void calls.push(['drain', limitMs]),
    stop: async () => void calls.push('stop'),
    ...parts,
  }
  const log = { event: (name: string, fields: object) => void calls.push([name, fields]) }
  const run = (create: () => Promise<ServedRelay> = async () => relay) =>
    runUntilSignal(create, host, log, 8000)
  return { calls, host, run, started, log, relay }
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`O2: ${signal} drains, stops and ends with 0`, async () => {
    const { calls, host, run, started } = fixture()
    const isStarted = once(started, 'start')
    const ended = run()
    await isStarted
    host.emit(signal)
    assert.equal(await ended, EXIT.ok)
    assert.deepEqual(calls, ['start', ['relay.draining', { signal }], ['drain', 8000], 'stop'])
    assert.deepEqual(host.eventNames(), [])
  })
}

test('O2: a second signal ends the process at once', async () => {
  const drained = Promise.withResolvers<void>()
  const draining = Promise.withResolvers<void>()
  const { calls, host, run, started } = fixture({
    drain: () => {
      draining.resolve()
      return drained.promise
    },
  })
  const isStarted = once(started, 'start')
  const ended = run()
  await isStarted
  host.emit('SIGTERM')
  await draining.promise
  assert.ok(!calls.some((call) => Array.isArray(call) && call[0] === 'exit'))
  host.emit('SIGINT')
  assert.deepEqual(calls.at(-1), ['exit', 0])
  drained.resolve()
  await ended
})

for (const event of ['uncaughtException', 'unhandledRejection']) {
  test(`O2: ${event} is logged and ends with 70`, async () => {
    const { calls, host, run, started } = fixture()
    const isStarted = once(started, 'start')
    const ended = run()
    await isStarted
    host.emit(event, new TypeError('x is undefined'))
    assert.deepEqual(calls.slice(1), [
      ['relay.fault', { code: 'internal', reason: 'x is undefined', where: event }],
      ['exit', 70],
    ])
    host.emit('SIGTERM')
    await ended
  })
}

test('O1: a store that can do nothing more ends the process, so that a restart recovers', async () => {
  const { calls, host, relay, log } = fixture()
  const ready = Promise.withResolvers<(fault: Fault) => void>()
  const create = async (onFatal: (fault: Fault) => void): Promise<ServedRelay> => {
    ready.resolve(onFatal)
    return relay
  }
  const ended = runUntilSignal(create, host, log, 8000)
  const onFatal = await ready.promise
  onFatal(new Fault('store-unavailable', 'fsync failed'))
  assert.deepEqual(calls.filter((call) => Array.isArray(call)).slice(0, 2), [
    ['relay.fault', { code: 'store-unavailable', reason: 'fsync failed', where: 'store' }],
    ['exit', 4],
  ])
  host.emit('SIGTERM')
  await ended
})

test('O2: a start that fails closes what was opened and rejects with the fault', async () => {
  const fault = new Fault('configuration', 'port 25 is taken')
  const { calls, host, run } = fixture({ start: () => Promise.reject(fault) })
  await assert.rejects(run(), fault)
  assert.deepEqual(calls, ['stop'])
  assert.deepEqual(host.eventNames(), [])
})

test('O3: serve prints the warnings of its configuration and passes the drain limit on', async (context) => {
  const calls: unknown[] = []
  const started = Promise.withResolvers<void>()
  const console = createConsole(context, {
    relay: {
      start: async () => started.resolve(),
      drain: async (limitMs) => void calls.push(limitMs),
      stop: async () => {},
    },
  })
  const ended = console.run(['serve', '--drain-limit', '5s'])
  await started.promise
  console.host.emit('SIGTERM')
  assert.equal(await ended, EXIT.ok)
  assert.deepEqual(calls, [5000])
})

test('O3: the program itself answers --help and ends with 2 without a command', () => {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const run = (...words: string[]) => spawnSync(process.execPath, [main, ...words], { encoding: 'utf8' })
  const help = run('--help')
  assert.equal(help.status, 0)
  assert.equal(help.stderr, '')
  assert.match(help.stdout, /^Usage: secure-transport COMMAND \[OPTIONS\]\n/)
  assert.equal(run().status, 2)
  assert.equal(run('check', '--config', '/nonexistent.yaml').status, 3)
})
