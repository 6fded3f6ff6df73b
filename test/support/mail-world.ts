// A small internet on loopback with real parts: the gateway as a process, a Postfix MX with TLS (also the MX of
// the sender's domain), a Postfix MX without, real clamd, and a DNS server that knows them. Domains:
// `office.test` (the customer), `tls.test`, `late.test` (not in DNS), `plain.test`, `null.test` (null MX), `inside.test` (MX at 10.0.0.1).
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority } from './authority.ts'
import { type Clamd, startClamd } from './clamd.ts'
import { type DnsServer, startDnsServer } from './dns-server.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { freePort } from './ports.ts'
import { type PostfixRecipient, startPostfixRecipient } from './postfix-recipient.ts'

export const LOGIN = 'office'
export const PASSWORD = 'correct horse battery'

export interface MailWorld {
  readonly gateway: Gateway
  /** MX of `tls.test` and `office.test`, with STARTTLS. */
  readonly tlsMx: PostfixRecipient
  /** MX of `plain.test`, without STARTTLS. */
  readonly plainMx: PostfixRecipient
  readonly dns: DnsServer
  dispose(): Promise<void>
}

export interface WorldOptions {
  /** Keys below `delivery:`, beside those that the world needs. */
  readonly delivery?: string
  readonly yaml?: string
  readonly scanner?: boolean
}

/** Starts everything; whatever was started is stopped when a later part fails. */
export async function startMailWorld(options: WorldOptions = {}): Promise<MailWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'st-world-'))
  const cleanUp: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })]
  const dispose = async (): Promise<void> => {
    for (const step of cleanUp.splice(0).reverse()) await step()
  }
  try {
    const authority = await createAuthority(directory)
    const tls = await authority.issue(['mx.tls.test'])
    const port = await freePort('127.0.0.2')
    const tlsMx = await startPostfixRecipient({
      hostname: 'mx.tls.test',
      domains: ['tls.test', 'office.test', 'late.test'],
      tls,
      listen: { address: '127.0.0.2', port },
    })
    cleanUp.push(() => tlsMx.stop())
    const plainMx = await startPostfixRecipient({
      hostname: 'mx.plain.test',
      domains: ['plain.test'],
      tls: null,
      listen: { address: '127.0.0.3', port },
    })
    cleanUp.push(() => plainMx.stop())
    const dns = await startDnsServer({
      'office.test': { MX: ['10 mx.tls.test'] },
      'tls.test': { MX: ['10 mx.tls.test'] },
      'mx.tls.test': { A: ['127.0.0.2'] },
      'plain.test': { MX: ['10 mx.plain.test'] },
      'mx.plain.test': { A: ['127.0.0.3'] },
      'null.test': { MX: ['0 .'] },
      'inside.test': { MX: ['10 mx.inside.test'] },
      'mx.inside.test': { A: ['10.0.0.1'] },
    })
    cleanUp.push(() => dns.stop())
    const clamd: Clamd | null = options.scanner ? await startClamd() : null
    if (clamd) cleanUp.push(() => clamd.stop())
    const gateway = await startGateway({
      yaml: `dns: { resolvers: ["${dns.address}"] }
scanner: ${clamd ? `{ kind: clamd, address: "${clamd.address}" }` : '{ kind: none }'}
delivery:
  port: ${port}
  allowedNetworks: [127.0.0.0/8]
  trustedCertificates: ["${authority.certificate}"]
${(options.delivery ?? 'tlsRetryWindow: 0s').replace(/^/gm, '  ')}
notifications: { from: { address: postmaster@office.test } }
${options.yaml ?? ''}`,
      accounts: [{ name: 'Office', domains: ['office.test'], login: LOGIN, password: PASSWORD }],
    })
    cleanUp.push(() => gateway.dispose())
    return { gateway, tlsMx, plainMx, dns, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}
