// The real ports: `relay.ts`, loaded only by the commands that need it, so that `--help` and `check` are quick.
import type { Ports } from './ports.ts'

export const relayPorts: Ports = {
  openOperations: async (configuration) => (await import('../relay.ts')).createOperations(configuration),
  createRelay: async (configuration, log, options) =>
    (await import('../relay.ts')).createRelay(configuration, log, options),
}
