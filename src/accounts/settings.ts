// Settings of the accounts room: how logins are checked. Costs of the hash itself are in `password.ts`,
// because stored hashes carry them.
import { z } from 'zod'
import { count, duration } from '../runtime/settings.ts'

export const accountSettings = z
  .strictObject({
    loginCacheFor: duration(
      '60s',
      { min: '0s', max: '1h' },
      {
        description:
          'How long after its last use a verified login is recognised without hashing the password again. A changed password or a removed login counts at once, whatever stands here. `0s` switches it off.',
        reload: 'restart',
      },
    ),
    loginCacheEntriesMax: count(
      10_000,
      { min: 1, max: 1_000_000 },
      {
        description:
          'How many verified logins are remembered; beyond it the least recently used is forgotten.',
        reload: 'restart',
      },
    ),
    loginsInParallel: count(
      2,
      { min: 1, max: 64 },
      {
        description:
          'How many passwords are hashed at once. Each takes a core for a fraction of a second and 32 MB of memory.',
        reload: 'restart',
      },
    ),
    loginsWaitingMax: count(
      64,
      { min: 0, max: 10_000 },
      {
        description:
          'How many logins may wait for their turn; further ones are asked to try again (454 4.7.0).',
        reload: 'restart',
      },
    ),
  })
  .prefault({})
  .meta({ description: 'How logins are checked.' })

/** Durations in milliseconds. */
export type AccountSettings = z.output<typeof accountSettings>
