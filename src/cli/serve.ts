// `serve`: runs the gateway until a signal ends it (O2). SIGTERM or SIGINT: no new mail, running work is
// finished within a limit, everything is closed, exit 0. A second signal ends at once: what was acknowledged
// is on stable storage anyway. What nobody caught is logged and ends the process with 70: a state that nobody
// understands must not go on accepting mail. The only command that touches the process itself.
import { createLog, type Log } from '../observability/log.ts'
import { systemClock } from '../runtime/clock.ts'
import { Fault, faultText } from '../runtime/fault.ts'
import { parseDuration } from '../runtime/settings.ts'
import type { Command } from './command.ts'
import { readConfiguration } from './configuration.ts'
import { EXIT, type ExitCode, explainThrown } from './exit-code.ts'
import type { Host, HostEvent, ServedRelay } from './ports.ts'

const DRAIN_LIMIT_MS = 30_000
const SIGNALS = ['SIGTERM', 'SIGINT'] as const
const CRASHES = ['uncaughtException', 'unhandledRejection'] as const

export const serve: Command = {
  words: ['serve'],
  summary: 'run the gateway until SIGTERM or SIGINT',
  positionals: [],
  options: [
    {
      name: 'drain-limit',
      value: 'DURATION',
      help: 'how long running work may take after a signal; default 30s',
    },
  ],
  examples: ['serve --config /etc/secure-transport/secure-transport.yaml', 'serve --drain-limit 8s'],
  async run(call) {
    const limitText = call.text('drain-limit')
    const drainLimitMs = limitText === undefined ? DRAIN_LIMIT_MS : parseDuration(limitText)
    if (drainLimitMs === null)
      throw new Fault('usage', `--drain-limit: "${limitText}" is not a duration such as 30s`)
    const configuration = readConfiguration(call, true)
    if (configuration === null) return EXIT.configuration
    const log = createLog(configuration.log, 1, systemClock.now)
    return runUntilSignal(
      (onFatal) => call.ports.createRelay(configuration, log, { onFatal }),
      call.host,
      log,
      drainLimitMs,
    )
  },
}

/**
 * Creates and starts a gateway, and resolves when a signal has ended it. A start that fails rejects with its
 * fault, and what was opened is closed.
 */
export async function runUntilSignal(
  createRelay: (onFatal: (thrown: unknown) => void) => Promise<ServedRelay>,
  host: Host,
  log: Log,
  drainLimitMs: number,
): Promise<ExitCode> {
  const end = (where: string) => (thrown: unknown) => {
    const code = thrown instanceof Fault ? thrown.code : 'internal'
    log.event('relay.fault', { code, reason: faultText(thrown), where })
    host.exit(explainThrown(thrown).code)
  }
  const crashes: [HostEvent, (thrown: unknown) => void][] = CRASHES.map((event) => [event, end(event)])
  for (const [event, listener] of crashes) host.on(event, listener)
  const { signalled, stopListening } = firstSignal(host)
  try {
    const relay = await createRelay(end('store'))
    try {
      await relay.start()
      log.event('relay.draining', { signal: await signalled })
      await relay.drain(drainLimitMs)
    } finally {
      await relay.stop()
    }
    return EXIT.ok
  } finally {
    stopListening()
    for (const [event, listener] of crashes) host.off(event, listener)
  }
}

/** The first signal that comes; a second one ends the process at once. */
function firstSignal(host: Host): { signalled: Promise<string>; stopListening: () => void } {
  const { promise, resolve } = Promise.withResolvers<string>()
  let seen = 0
  const listeners = SIGNALS.map((signal): [HostEvent, () => void] => [
    signal,
    () => {
      seen++
      if (seen > 1) host.exit(EXIT.ok)
      else resolve(signal)
    },
  ])
  for (const [signal, listener] of listeners) host.on(signal, listener)
  return {
    signalled: promise,
    stopListening: () => {
      for (const [signal, listener] of listeners) host.off(signal, listener)
    },
  }
}
