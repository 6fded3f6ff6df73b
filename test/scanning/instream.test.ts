import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Instream, type InstreamEvents, openInstream } from '../../src/scanning/instream.ts'
import { parseScannerAddress, type ScannerAddress } from '../../src/scanning/settings.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { startFakeClamd } from './fake-clamd.ts'

function addressOf(text: string): ScannerAddress {
  const address = parseScannerAddress(text)
  assert.ok(address)
  return address
}

/** Opens to `targets` on a clock whose timers run only when the test says so, in the same tick if it likes. */
function open(targets: readonly ScannerAddress[]) {
  const timers = new Set<() => void>()
  const happened = Promise.withResolvers<string>()
  const passedOver: string[] = []
  const clock: Parameters<typeof openInstream>[0] = {
    ...createManualClock(),
    after(_delayMs, action) {
      timers.add(action)
      return { cancel: () => timers.delete(action) }
    },
  }
  const events: InstreamEvents = {
    connected: () => happened.resolve('connected'),
    drained: () => {},
    replied: (reply) => happened.resolve(`replied ${reply}`),
    failed: (reason) => happened.resolve(`failed: ${reason}`),
    passedOver: (target, reason) => passedOver.push(`${target.text}: ${reason}`),
  }
  const instream: Instream = openInstream(clock, targets, 5000, events)
  const expire = (): void => {
    for (const action of [...timers]) {
      timers.delete(action)
      action()
    }
  }
  return { instream, expire, timers, passedOver, happened: happened.promise }
}

test('M1: a target that does not take the connection in time is left for the next one', async (context) => {
  const fakes = [await startFakeClamd({}), await startFakeClamd({})]
  context.after(() => Promise.all(fakes.map((fake) => fake.stop())))
  const targets = fakes.map((fake) => addressOf(fake.address))
  const { instream, expire, timers, passedOver, happened } = open(targets)
  expire()
  assert.equal(await happened, 'connected')
  assert.equal(instream.target, targets[1]?.text)
  assert.deepEqual(passedOver, [`${targets[0]?.text}: no connection within 5000 ms`])
  assert.equal(timers.size, 0)
  instream.destroy()
})

test('M1: when the last target does not take the connection in time there is no verdict', async (context) => {
  const fake = await startFakeClamd({})
  context.after(() => fake.stop())
  const { expire, happened, passedOver } = open([addressOf(fake.address)])
  expire()
  assert.equal(await happened, 'failed: no connection within 5000 ms')
  assert.deepEqual(passedOver, [])
})
