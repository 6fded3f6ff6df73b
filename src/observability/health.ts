// Readiness as named checks. Live is whoever answers; ready is whoever can take mail now. Checks are cheap
// and synchronous: they look at what a room already knows and never probe.

/** Why the thing is not ready, in words for operators without secrets; `null` when it is. */
export type HealthCheck = () => string | null

export interface HealthReport {
  readonly ready: boolean
  /** In order of registration. */
  readonly checks: readonly { readonly name: string; readonly reason: string | null }[]
}

export interface Health {
  /** Adds a check, or replaces the one of that name. */
  register(name: string, check: HealthCheck): void
  /** Asks all checks now. A check that throws is a check that fails. Without any check: not ready. */
  report(): HealthReport
}

export function createHealth(): Health {
  const checks = new Map<string, HealthCheck>()
  return {
    register(name, check) {
      checks.set(name, check)
    },
    report() {
      const results = [...checks].map(([name, check]) => ({ name, reason: ask(check) }))
      return { ready: results.length > 0 && results.every(({ reason }) => reason === null), checks: results }
    },
  }
}

function ask(check: HealthCheck): string | null {
  try {
    return check()
  } catch {
    return 'the check itself failed'
  }
}
