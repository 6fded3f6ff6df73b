// Free TCP ports for daemons that cannot listen on port 0 and tell which one they got.
// What can listen on port 0 should do that instead: between the probe here and the daemon's own bind someone
// else may take the port. To keep that unlikely the port is drawn below the kernel's ephemeral range, so that
// no outgoing connection is ever given it.
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const PORT_MIN = 20_000
const PORT_MAX = 32_000
const TRIES_MAX = 50

/** A port on which nobody listens at `address` now; throws when fifty drawn ones are all taken. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    if (await isFree(port, address)) return port
  }
  throw new Error(`no free port on ${address} in ${TRIES_MAX} tries`)
}

function isFree(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
