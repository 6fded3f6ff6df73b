// The scanner on clamd (M1): bounds how many scans run, chooses among the configured targets, tests itself.
// How one message is scanned is scan.ts, the wire is instream.ts, the meaning of replies clamd-reply.ts.
import type { Log } from '../observability/log.ts'
import type { Clock } from '../runtime/clock.ts'
import { createSemaphore } from '../runtime/limit.ts'
import { openInstream } from './instream.ts'
import { ClamdScan } from './scan.ts'
import type { Scanner, Verdict } from './scanner.ts'
import type { ScannerAddress, ScannerSettings } from './settings.ts'

/** Complete messages in line for a verdict; with what each holds at most 64 MB. */
const VERDICTS_WAITING_MAX = 1000
/** Larger messages on their way to clamd at once, and in line for that. */
const STREAMS_MAX = 256
const STREAMS_WAITING_MAX = 1000
/** How long a target that took no connection is tried after the others only. */
const REST_MS = 10_000

/** The EICAR test string, in halves so that no scanner takes this file for a virus. eicar.org */
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD', '-ANTIVIRUS-TEST-FILE!$H+H*'].join('')

type ClamdSettings = Omit<ScannerSettings, 'kind'>

/**
 * A scanner that asks clamd, the first of `address` that takes the connection. Opens nothing before the first
 * scan. `stop` ends all scans under way without a verdict.
 */
export function createClamdScanner(deps: { clock: Clock; log: Log }, settings: ClamdSettings): Scanner {
  const { clock, log } = deps
  const verdictPlaces = createSemaphore(settings.concurrency, VERDICTS_WAITING_MAX)
  const streamPlaces = createSemaphore(STREAMS_MAX, STREAMS_WAITING_MAX)
  const running = new Set<ClamdScan>()
  const restingUntil = new Map<ScannerAddress, number>()
  let isStopped = false

  const isResting = (target: ScannerAddress): boolean => (restingUntil.get(target) ?? 0) > clock.monotonic()
  /** In the operator's order, those that were away a moment ago last. */
  const inOrderOfTrial = (): readonly ScannerAddress[] =>
    restingUntil.size === 0
      ? settings.address
      : settings.address.toSorted((left, right) => Number(isResting(left)) - Number(isResting(right)))

  const beginWith = (chooseTargets: () => readonly ScannerAddress[]): ClamdScan => {
    const scan = new ClamdScan({
      clock,
      log,
      verdictPlaces,
      streamPlaces,
      verdictTimeoutMs: settings.verdictTimeout,
      open: (events) =>
        openInstream(clock, chooseTargets(), settings.connectTimeout, {
          ...events,
          passedOver: (target, reason) => {
            if (!isResting(target)) log.event('scanner.passed-over', { target: target.text, reason })
            restingUntil.set(target, clock.monotonic() + REST_MS)
          },
        }),
      onEnd: (ended) => running.delete(ended),
    })
    running.add(scan)
    if (isStopped) scan.abort()
    return scan
  }

  const testTarget = (target: ScannerAddress): Promise<Verdict> => {
    const scan = beginWith(() => [target])
    scan.write(Buffer.from(EICAR, 'latin1'))
    return scan.finish()
  }

  return {
    begin: () => beginWith(inOrderOfTrial),
    /** Every target is tested. One that is away does no harm beside one that works; one that is blind does. */
    async selfTest() {
      const verdicts = await Promise.all(settings.address.map(testTarget))
      const results = verdicts.map((verdict, index) => ({
        verdict,
        target: settings.address[index]?.text ?? '',
      }))
      const isBlind = verdicts.some((verdict) => verdict.kind === 'clean')
      if (!isBlind && verdicts.some((verdict) => verdict.kind === 'infected')) return { ok: true }
      const reasons = results
        .filter(({ verdict }) => verdict.kind !== 'infected')
        .map(({ verdict, target }) => `${target}: ${describeFailure(verdict)}`)
      return { ok: false, reason: reasons.join('; ') }
    },
    stop() {
      isStopped = true
      for (const scan of running) scan.abort()
      return Promise.resolve()
    },
  }
}

const describeFailure = (verdict: Verdict): string =>
  verdict.kind === 'unavailable' ? verdict.reason : 'the EICAR test string was not found'
