// The least that Postfix needs to check logins: a server of Dovecot's authentication protocol 1.1 that knows one
// login. It runs in the driver, so that its work is not counted against Postfix.

import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'

export interface AuthServer {
  stop(): Promise<void>
}

/** Listens on the UNIX socket `path`, open to every user: Postfix asks as its own. */
export async function startDovecotAuth(path: string, login: string, password: string): Promise<AuthServer> {
  const expected = Buffer.from(`\0${login}\0${password}`).toString('base64')
  const server = createServer((socket) => {
    let pending = ''
    socket.on('error', () => socket.destroy())
    socket.write(
      `VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t${process.pid}\nCUID\t1\nCOOKIE\t${'0'.repeat(32)}\nDONE\n`,
    )
    socket.on('data', (chunk: Buffer) => {
      const lines = (pending + chunk.toString('latin1')).split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        const [verb, id, , ...parameters] = line.split('\t')
        if (verb !== 'AUTH') continue
        socket.write(
          parameters.includes(`resp=${expected}`)
            ? `OK\t${id}\tuser=${login}\n`
            : `FAIL\t${id}\tuser=${login}\n`,
        )
      }
    })
  })
  server.listen(path)
  await once(server, 'listening')
  await chmod(path, 0o666)
  return {
    async stop() {
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}
