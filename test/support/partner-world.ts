// The real gateway between a client and two scripted recipients that it reaches as `partners`, without DNS:
// `peer.test` takes what leaves, `office.test` is the mailbox of the customer, where notices arrive. Whoever
// attacks here sees exactly what left, and in which commands.
import { createCertificateAuthority } from './certificate-authority.ts'
import { type Gateway, startGateway } from './gateway.ts'
import type { Recipient, RecipientOptions } from './recipient-script.ts'
import { startRecipient } from './recipient-server.ts'
import { connectLoggedIn, type SmtpClient } from './smtp-client.ts'

export const PARTNER_LOGIN = 'office'
export const PARTNER_PASSWORD = 'correct horse battery'

export interface PartnerWorld {
  readonly gateway: Gateway
  readonly peer: Recipient
  readonly mailbox: Recipient
  login(): Promise<SmtpClient>
  dispose(): Promise<void>
}

export interface PartnerWorldOptions {
  readonly peer?: RecipientOptions['script']
  readonly mailbox?: RecipientOptions['script']
  /** Keep the contents that the peer takes; default true. */
  readonly keep?: boolean
  /** Top-level YAML besides what the world needs, e.g. `submission:`. */
  readonly yaml?: string
  /** YAML in braces; default `{ kind: none }`. */
  readonly scanner?: string
  readonly delivery?: string
  /** Port that the gateway takes for the peer's, e.g. a proxy's. */
  readonly peerPort?: (port: number) => Promise<number>
  readonly password?: string
}

/** Starts everything; whatever was started is stopped when a later part fails. */
export async function startPartnerWorld(options: PartnerWorldOptions = {}): Promise<PartnerWorld> {
  const cleanUp: (() => Promise<unknown>)[] = []
  const dispose = async (): Promise<void> => {
    for (const step of cleanUp.splice(0).reverse()) await step()
  }
  try {
    const pair = createCertificateAuthority().issue(['mx.peer.test'])
    const start = async (more: Partial<RecipientOptions>): Promise<Recipient> => {
      const recipient = await startRecipient({ tls: pair, ...more })
      cleanUp.push(() => recipient.stop())
      return recipient
    }
    const peer = await start({
      ...(options.peer && { script: options.peer }),
      ...(options.keep === undefined ? {} : { keep: options.keep }),
    })
    const mailbox = await start(options.mailbox ? { script: options.mailbox } : {})
    const peerPort = (await options.peerPort?.(peer.port)) ?? peer.port
    const password = options.password ?? PARTNER_PASSWORD
    const gateway = await startGateway({
      yaml: `scanner: ${options.scanner ?? '{ kind: none }'}
log: { level: debug }
delivery:
  allowedNetworks: [127.0.0.0/8]
${(options.delivery ?? 'tlsRetryWindow: 0s').replace(/^/gm, '  ')}
partners:
  - { domain: peer.test, hosts: ["127.0.0.1:${peerPort}"] }
  - { domain: office.test, hosts: ["127.0.0.1:${mailbox.port}"] }
notifications: { from: { address: postmaster@office.test } }
${options.yaml ?? ''}`,
      accounts: [{ name: 'Office', domains: ['office.test'], login: PARTNER_LOGIN, password }],
    })
    cleanUp.push(() => gateway.dispose())
    return {
      gateway,
      peer,
      mailbox,
      login: () => connectLoggedIn(gateway.port, PARTNER_LOGIN, password),
      dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}
