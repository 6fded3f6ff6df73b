// Recipient mail servers for the trial and the demo: they take mail on loopback, keep the last few in memory
// and tell a callback about each. Built on smtp-server; nothing of the gateway is in them, so that what they
// report is what a stranger's server would see.
import { SMTPServer } from 'smtp-server'
import { Fault } from '../runtime/fault.ts'
import type { CertificatePair } from './certificate.ts'

/** One mail as the recipient's server received it. */
export interface ReceivedMail {
  readonly reversePath: string
  readonly recipients: readonly string[]
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or `null` when it came in the clear. */
  readonly transport: string | null
  readonly content: string
}

export interface RecipientOptions {
  readonly hostname: string
  /** `null`: the server offers no STARTTLS. */
  readonly certificate: CertificatePair | null
  /** Answers every recipient with this reply instead of taking the mail. */
  readonly refusal?: { readonly code: number; readonly text: string }
  readonly onMail?: (mail: ReceivedMail) => void
}

export interface TrialRecipient {
  readonly port: number
  readonly mails: readonly ReceivedMail[]
  stop(): Promise<void>
}

const MAILS_KEPT = 100
const OCTETS_KEPT = 1_000_000

/** Starts a recipient on 127.0.0.1; `port` 0 lets the system choose. */
export function startTrialRecipient(port: number, options: RecipientOptions): Promise<TrialRecipient> {
  const mails: ReceivedMail[] = []
  const { certificate, refusal } = options
  const server = new SMTPServer({
    name: options.hostname,
    authOptional: true,
    disabledCommands: certificate === null ? ['AUTH', 'STARTTLS'] : ['AUTH'],
    hideENHANCEDSTATUSCODES: false,
    hideDSN: false,
    disableReverseLookup: true,
    logger: false,
    minVersion: 'TLSv1.2',
    ...(certificate === null ? {} : { cert: certificate.certificatePem, key: certificate.keyPem }),
    onRcptTo(_address, _session, done) {
      done(refusal ? Object.assign(new Error(refusal.text), { responseCode: refusal.code }) : undefined)
    },
    onData(stream, session, done) {
      const parts: Buffer[] = []
      let octets = 0
      stream.on('data', (part: Buffer) => {
        octets += part.length
        if (octets <= OCTETS_KEPT) parts.push(part)
      })
      stream.on('end', () => {
        const tls = session.tlsOptions
        const mail: ReceivedMail = {
          reversePath: session.envelope.mailFrom ? session.envelope.mailFrom.address : '',
          recipients: session.envelope.rcptTo.map((recipient) => recipient.address),
          transport: session.secure && tls ? `${tls.version} ${tls.name}` : null,
          content: Buffer.concat(parts).toString('utf8'),
        }
        mails.push(mail)
        if (mails.length > MAILS_KEPT) mails.shift()
        options.onMail?.(mail)
        done(null, `OK id=trial-${session.id}`)
      })
      stream.on('error', () => done(new Error('the message broke off')))
    },
  })
  server.on('error', () => undefined)
  return new Promise((resolve, reject) => {
    server.server.once('error', (cause: Error) => {
      reject(
        new Fault(
          'configuration',
          `the trial's recipient cannot listen on port ${port} (is another trial running?): ${cause.message}`,
          {
            cause,
          },
        ),
      )
    })
    server.listen(port, '127.0.0.1', () => {
      const bound = server.server.address()
      resolve({
        port: bound !== null && typeof bound === 'object' ? bound.port : port,
        mails,
        stop: () =>
          new Promise((stopped) => {
            server.server.close(() => stopped())
            for (const connection of server.connections) connection._socket.destroy()
          }),
      })
    })
  })
}
