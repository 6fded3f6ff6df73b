// Settings of the queue: how much memory and disk it may use and must leave free. Pauses between attempts
// are the delivery room's (`delivery.retry`), the schedule that uses them is `schedule.ts`.
import { z } from 'zod'
import { size } from '../runtime/settings.ts'

export const queueSettings = z.strictObject({
  memoryBudget: size(
    '128MB',
    { min: '0', max: '16GB' },
    {
      description:
        'Memory for the bodies of mail on its first delivery attempt, all together. Beyond it they are read back from disk.',
      reload: 'restart',
    },
  ),
  diskReserve: size(
    '512MB',
    { min: '0', max: '1024GB' },
    {
      description:
        'Free space in the data directory below which new mail is answered with 452. What is queued goes on. `0` switches the check off.',
      reload: 'restart',
    },
  ),
  ballast: size(
    '128MB',
    { min: '0', max: '16GB' },
    {
      description:
        'Size of a file that only keeps space: removed when the disk is full, so that the queue can drain, and written anew afterwards. `0` switches it off.',
      reload: 'restart',
    },
  ),
})

/** All in octets. */
export type QueueSettings = z.output<typeof queueSettings>
