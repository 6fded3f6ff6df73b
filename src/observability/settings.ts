// Settings of the log and of the HTTP endpoint for health and metrics.
import { z } from 'zod'

export const logSettings = z
  .strictObject({
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info').meta({
      description: 'The least important events that are logged. `docs/events.md` lists all with their level.',
      reload: 'restart',
    }),
  })
  .prefault({})
  .meta({ description: 'The log: JSON lines on standard output.' })

export const httpSettings = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .meta({ description: 'Serve `/livez`, `/readyz` and `/metrics`.', reload: 'restart' }),
    address: z.string().min(1).default('127.0.0.1').meta({
      description:
        'Address to listen on. There is no login: open it only to networks that may see health and figures.',
      reload: 'restart',
    }),
    port: z
      .int({ error: 'a port number from 0 to 65535' })
      .min(0, { error: 'a port number from 0 to 65535' })
      .max(65535, { error: 'a port number from 0 to 65535' })
      .default(8025)
      .meta({ description: 'TCP port; 0 lets the system choose.', reload: 'restart', unit: 'number' }),
  })
  .prefault({})
  .meta({ description: 'HTTP endpoint for health checks and Prometheus.' })

export type LogSettings = z.output<typeof logSettings>
export type HttpSettings = z.output<typeof httpSettings>
