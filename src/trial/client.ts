// The ordinary SMTP client of the demo: nodemailer with default behaviour, as any program would use it.
import { createTransport } from 'nodemailer'

export interface ClientMail {
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

export interface ClientServer {
  readonly port: number
  readonly login: string
  readonly password: string
  /** PEM certificate that the client trusts. */
  readonly certificatePem: string
}

const TIMEOUT_MS = 20_000

/** Sends one mail with STARTTLS and login; the server's reply, or its refusal. */
export async function sendMail(server: ClientServer, mail: ClientMail): Promise<string> {
  const transport = createTransport({
    host: 'localhost',
    port: server.port,
    requireTLS: true,
    auth: { user: server.login, pass: server.password },
    tls: { ca: server.certificatePem, servername: 'localhost' },
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
  })
  try {
    const sent = await transport.sendMail(mail)
    return sent.response
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    transport.close()
  }
}
