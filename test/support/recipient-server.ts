// A scripted recipient: an SMTP server on loopback that behaves, or misbehaves exactly as a test says, and
// keeps what it was given. Raw net and tls, so that nothing is too odd to be scripted. Fast enough to be the
// sink of benchmarks (`keep: false`).
//
//   const recipient = await startRecipient({ tls: authority.issue(['mx.example.test']) })
//   …send to recipient.port…
//   const [mail] = await recipient.mails(1)
//   await recipient.stop()
//
// Misbehaviour: `script` is asked before each step and may return
//   'text\r\n'            send this instead of the usual reply (and do what the code says: 2xx/354 accept, else refuse)
//   { raw, next }         send these octets, then 'hang' (say no more), 'close' (FIN), 'reset' (RST), or 'go on'
//   { drip, everyMs }     send one octet every `everyMs`, for ever
//   'hang' | 'close' | 'reset'
// or nothing, for the usual. Steps: greeting, one for each command by its verb, `content` (first octets after
// 354), `dot` (the message is complete), and `handshake` (the ClientHello begins to arrive).
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { ReceivedMail, Recipient, RecipientOptions } from './recipient-script.ts'

export type { Action, ReceivedMail, Recipient, RecipientOptions, Step } from './recipient-script.ts'

const EXTENSIONS = ['PIPELINING', 'SIZE 104857600', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES']
const COMMANDS_KEPT_MAX = 10_000

export async function startRecipient(options: RecipientOptions): Promise<Recipient> {
  const received: ReceivedMail[] = []
  const commands: string[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  let messages = 0
  let octets = 0
  let changed: (() => void)[] = []
  const announce = (): void => {
    const waiting = changed
    changed = []
    for (const wake of waiting) wake()
  }
  const change = (): Promise<void> => new Promise((resolve) => changed.push(resolve))
  const context = options.tls === null ? null : contextOf(options)

  const server: Server = createServer({ noDelay: true }, (socket) => {
    connections++
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      announce()
    })
    serve(socket, connections, context, options, {
      command: (line) => {
        if (commands.length < COMMANDS_KEPT_MAX) commands.push(line)
      },
      mail: (mail, sizeBytes) => {
        messages++
        octets += sizeBytes
        if (options.keep !== false) received.push(mail)
        announce()
      },
    })
  })
  server.listen(options.port ?? 0, options.address ?? '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not listening')

  return {
    address: bound.address,
    port: bound.port,
    received,
    commands,
    async mails(count) {
      while (messages < count) await change()
      return received
    },
    get connections() {
      return connections
    },
    get messages() {
      return messages
    },
    get octets() {
      return octets
    },
    get open() {
      return sockets.size
    },
    async allClosed() {
      while (sockets.size > 0) await change()
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function contextOf({ tls, tlsVersions, ciphers }: RecipientOptions): SecureContext {
  return createSecureContext({
    cert: tls?.certificate,
    key: tls?.key,
    ...(tlsVersions === undefined ? {} : { minVersion: tlsVersions.min, maxVersion: tlsVersions.max }),
    ...(ciphers === undefined ? {} : { ciphers }),
  })
}

interface Ears {
  command(line: string): void
  mail(mail: ReceivedMail, sizeBytes: number): void
}

/** One connection. State lives in this closure; `channel` changes with STARTTLS. */
function serve(
  plain: Socket,
  connection: number,
  context: SecureContext | null,
  options: RecipientOptions,
  ears: Ears,
): void {
  let channel: Socket = plain
  let tls: ReceivedMail['tls'] = null
  let rest: Buffer = Buffer.alloc(0)
  let inContent = false
  let contentBegun = false
  let parts: Buffer[] = []
  let partsSize = 0
  let silent = false
  let ehlo = ''
  let mailCommand = ''
  let rcptCommands: string[] = []
  let mails = 0
  let output = ''

  const end = (how: 'close' | 'reset'): void => {
    silent = true
    flush()
    if (how === 'close') channel.end()
    else plain.resetAndDestroy()
  }
  const flush = (): void => {
    if (output !== '' && channel.writable) channel.write(output)
    output = ''
  }
  const say = (text: string): void => {
    output += text
  }
  /** Asks the script; true when it took the step over entirely. Its reply code goes to `onReply`. */
  const scripted = (at: string, line: string, onReply: (code: number) => void): boolean => {
    const action = options.script?.({ at, line, connection, isTls: tls !== null, mails })
    if (action === undefined) return false
    if (action === 'hang') silent = true
    else if (action === 'close' || action === 'reset') end(action)
    else if (typeof action === 'string') {
      say(action)
      onReply(Number(action.slice(0, 3)))
    } else if ('drip' in action) drip(action.drip, action.everyMs)
    else {
      flush()
      channel.write(action.raw)
      if (action.next === 'go on') return false
      if (action.next === 'hang') silent = true
      else end(action.next)
    }
    return true
  }
  const drip = (text: string, everyMs: number): void => {
    silent = true
    flush()
    let at = 0
    const timer = setInterval(() => channel.write(text.charAt(at++ % text.length)), everyMs)
    plain.once('close', () => clearInterval(timer))
  }

  const secure = (): void => {
    flush()
    plain.off('data', onData)
    if (options.script === undefined) upgrade()
    else {
      plain.once('data', (hello) => {
        plain.pause()
        const isTaken = scripted('handshake', '', () => {})
        flush()
        if (isTaken) {
          plain.resume()
          return
        }
        plain.unshift(hello)
        upgrade()
      })
    }
  }
  const upgrade = (): void => {
    if (context === null) return
    const upgraded = new TLSSocket(plain, { isServer: true, secureContext: context })
    channel = upgraded
    ehlo = ''
    mailCommand = ''
    upgraded.on('error', () => plain.destroy())
    upgraded.on('close', () => plain.destroy())
    upgraded.on('data', onData)
    upgraded.once('secure', () => {
      const resumed = upgraded.isSessionReused()
      // `servername` is set by Node beyond its types, and false without SNI.
      const servername = 'servername' in upgraded ? String(upgraded.servername) : ''
      const cipher = upgraded.getCipher().standardName
      tls = { protocol: upgraded.getProtocol() ?? '', cipher, resumed, servername }
    })
  }

  const command = (line: string): void => {
    ears.command(line)
    const verb = (/^[A-Za-z]+/.exec(line)?.[0] ?? '').toUpperCase()
    const isTaken = scripted(verb, line, (code) => {
      if (code === 354) inContent = true
      if (code >= 300) return
      if (verb === 'MAIL') mailCommand = line
      if (verb === 'RCPT') rcptCommands.push(line)
      if (verb === 'STARTTLS') secure()
    })
    if (isTaken) return
    switch (verb) {
      case 'EHLO':
      case 'HELO': {
        ehlo = line
        const offers = [...(options.extensions ?? EXTENSIONS)]
        if (context !== null && tls === null) offers.push('STARTTLS')
        const lines = verb === 'EHLO' ? [options.hostname ?? 'recipient.test', ...offers] : ['recipient.test']
        say(lines.map((text, index) => `250${index < lines.length - 1 ? '-' : ' '}${text}\r\n`).join(''))
        return
      }
      case 'STARTTLS':
        if (context === null || tls !== null) say('502 5.5.1 not offered\r\n')
        else {
          say('220 2.0.0 go ahead\r\n')
          secure()
        }
        return
      case 'MAIL':
        if (mailCommand !== '') say('503 5.5.1 nested MAIL\r\n')
        else {
          mailCommand = line
          say('250 2.1.0 OK\r\n')
        }
        return
      case 'RCPT':
        if (mailCommand === '') say('503 5.5.1 MAIL first\r\n')
        else {
          rcptCommands.push(line)
          say('250 2.1.5 OK\r\n')
        }
        return
      case 'DATA':
        if (rcptCommands.length === 0) say('503 5.5.1 no valid recipients\r\n')
        else {
          inContent = true
          say('354 go ahead\r\n')
        }
        return
      case 'RSET':
        forget()
        say('250 2.0.0 OK\r\n')
        return
      case 'NOOP':
        say('250 2.0.0 OK\r\n')
        return
      case 'QUIT':
        say('221 2.0.0 bye\r\n')
        end('close')
        return
      default:
        say('500 5.5.2 unknown\r\n')
    }
  }
  const forget = (): void => {
    mailCommand = ''
    rcptCommands = []
    parts = []
    partsSize = 0
    contentBegun = false
  }
  const complete = (): void => {
    inContent = false
    const hasRecipients = rcptCommands.length > 0
    const taken = (): void => {
      if (!hasRecipients) return
      mails++
      const sizeBytes = partsSize
      const content = options.keep === false ? Buffer.alloc(0) : unstuff(Buffer.concat(parts))
      ears.mail(
        {
          reversePath: pathOf(mailCommand),
          forwardPaths: rcptCommands.map(pathOf),
          mailCommand,
          rcptCommands: [...rcptCommands],
          content,
          ehlo,
          tls,
          connection,
          mailOnConnection: mails,
        },
        sizeBytes,
      )
    }
    const isTaken = scripted('dot', '', (code) => {
      if (code < 300) taken()
    })
    if (!isTaken) {
      taken()
      say(hasRecipients ? `250 2.0.0 OK id=${connection}-${mails}\r\n` : '554 5.5.1 no valid recipients\r\n')
    }
    forget()
  }

  /** Consumes `rest` as content; true when the final dot was in it. */
  const content = (): boolean => {
    if (!contentBegun && rest.length > 0) {
      contentBegun = true
      if (scripted('content', '', () => {})) return false
    }
    const isLoneDot = partsSize === 0 && rest.length >= 3 && rest.subarray(0, 3).equals(DOT_LINE)
    const at = isLoneDot ? -2 : rest.indexOf(END)
    if (at === -1) {
      // The last four octets may be the beginning of the end.
      const keep = Math.min(rest.length, END.length - 1)
      const done = rest.subarray(0, rest.length - keep)
      if (partsSize > 0 || rest.length > END.length) {
        if (options.keep !== false) parts.push(Buffer.from(done))
        partsSize += done.length
        rest = rest.subarray(rest.length - keep)
      }
      return false
    }
    const message = rest.subarray(0, at + 2)
    if (options.keep !== false) parts.push(Buffer.from(message))
    partsSize += message.length
    rest = rest.subarray(at + END.length)
    return true
  }
  const onData = (chunk: Buffer): void => {
    if (silent) return
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (!silent && rest.length > 0) {
      if (inContent) {
        if (!content()) break
        complete()
        continue
      }
      const at = rest.indexOf('\r\n')
      if (at < 0) break
      const line = rest.toString('utf8', 0, at)
      rest = rest.subarray(at + 2)
      command(line)
    }
    flush()
  }

  plain.on('error', () => {})
  plain.on('data', onData)
  if (!scripted('greeting', '', () => {})) say(`220 ${options.hostname ?? 'recipient.test'} ESMTP\r\n`)
  flush()
}

const END = Buffer.from('\r\n.\r\n')
const DOT_LINE = Buffer.from('.\r\n')

const pathOf = (command: string): string => /<([^>]*)>/.exec(command)?.[1] ?? ''

/** Removes the dot that stuffing doubled at the beginning of lines. RFC 5321 §4.5.2. */
function unstuff(wire: Buffer): Buffer {
  const text = wire.toString('latin1')
  return Buffer.from(text.replace(/(^|\r\n)\.\./g, '$1.'), 'latin1')
}
