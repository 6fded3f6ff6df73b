// What `npm start` prepares on a fresh machine: a directory with a certificate, a configuration and a first
// login. Nothing here is production-like, and `describeTrial` says so.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Random } from '../runtime/random.ts'
import { type CertificatePair, makeSelfSigned } from './certificate.ts'

export const TRIAL_SENDER_DOMAIN = 'office.example'
export const TRIAL_RECIPIENT_DOMAIN = 'recipient.example'
export const TRIAL_LOGIN = 'trial'

const CERTIFICATE_DAYS = 397

export interface TrialPorts {
  readonly starttls: number
  readonly implicit: number
  readonly http: number
}

/** What was made or found in the trial's directory. */
export interface Trial {
  readonly directory: string
  readonly configPath: string
  readonly certificatePath: string
  readonly certificate: CertificatePair
  readonly password: string
}

/** Reads a file that an earlier start made, or makes it (mode 0600). */
async function readOrMake(path: string, make: () => string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    const text = make()
    await writeFile(path, text, { mode: 0o600 })
    return text
  }
}

/** Makes the directory, certificate and first password; an earlier trial's are kept. */
export async function prepareTrial(directory: string, now: number, random: Random): Promise<Trial> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const certificatePath = join(directory, 'gateway-certificate.pem')
  const keyPath = join(directory, 'gateway-key.pem')
  let made: CertificatePair | null = null
  const pair = (): CertificatePair => {
    made ??= makeSelfSigned(['localhost', TRIAL_RECIPIENT_DOMAIN], { now, days: CERTIFICATE_DAYS, random })
    return made
  }
  const keyPem = await readOrMake(keyPath, () => pair().keyPem)
  const certificatePem = await readOrMake(certificatePath, () => pair().certificatePem)
  const password = await readOrMake(join(directory, 'first-password'), () =>
    random.bytes(12).toString('base64url'),
  )
  return {
    directory,
    configPath: join(directory, 'secure-transport.yaml'),
    certificatePath,
    certificate: { certificatePem, keyPem },
    password: password.trim(),
  }
}

/** Writes the trial's configuration: unprivileged ports, no scanner, a recipient of its own on loopback. */
export async function writeTrialConfig(
  trial: Trial,
  ports: TrialPorts,
  recipientPort: number,
): Promise<void> {
  const route = (domain: string): string => `  - { domain: ${domain}, hosts: ["127.0.0.1:${recipientPort}"] }`
  const text = `# Written by "npm start" for a trial on this machine; written anew at each start. Not for production.
hostname: localhost
dataDirectory: .
listeners:
  - { address: 127.0.0.1, port: ${ports.starttls}, encryption: starttls }
  - { address: 127.0.0.1, port: ${ports.implicit}, encryption: implicit }
certificates:
  - { chain: gateway-certificate.pem, key: gateway-key.pem }
scanner: { kind: none }
delivery:
  allowedNetworks: [127.0.0.0/8]
# The trial's own recipient takes mail for both domains: the mails sent, and the notices to the sender.
partners:
${route(TRIAL_RECIPIENT_DOMAIN)}
${route(TRIAL_SENDER_DOMAIN)}
notifications:
  from: { address: postmaster@${TRIAL_SENDER_DOMAIN} }
http: { address: 127.0.0.1, port: ${ports.http} }
`
  await writeFile(trial.configPath, text, { mode: 0o600 })
}

/** What the operator sees after the start: what is missing, and the command that sends the first mail. */
export function describeTrial(trial: Trial, ports: TrialPorts, workingDirectory: string): string {
  const here = (path: string): string => {
    const shown = relative(workingDirectory, path)
    return shown.startsWith('..') ? path : shown
  }
  const sender = `you@${TRIAL_SENDER_DOMAIN}`
  const recipient = `anna@${TRIAL_RECIPIENT_DOMAIN}`
  return `
secureTransport is running as a trial on this machine.

  Not like production:
  - the certificate is self-signed: mail programs will warn;
  - no virus scanner: mail passes unscanned (production: clamd, see README.md);
  - mail for ${TRIAL_RECIPIENT_DOMAIN} and ${TRIAL_SENDER_DOMAIN} goes to a recipient server inside this process.

  Server    localhost, port ${ports.starttls} (STARTTLS) or ${ports.implicit} (TLS)
  User      ${TRIAL_LOGIN}
  Password  ${trial.password}
  Sender    any address @${TRIAL_SENDER_DOMAIN}

  Send the first mail with curl:

printf '%s\\r\\n' 'From: You <${sender}>' 'To: ${recipient}' 'Subject: First mail' '' 'Hello.' |
  curl --ssl-reqd --cacert ${here(trial.certificatePath)} --url smtp://localhost:${ports.starttls} --user ${TRIAL_LOGIN}:${trial.password} --mail-from ${sender} --mail-rcpt ${recipient} --upload-file -

  or with swaks:

swaks --server localhost:${ports.starttls} --tls --auth PLAIN --auth-user ${TRIAL_LOGIN} --auth-password ${trial.password} --from ${sender} --to ${recipient} --header 'Subject: First mail'

  What happened: the log lines below, and
  node_modules/.bin/node src/main.ts queue list --config ${here(trial.configPath)}

  Stop with Ctrl-C.
`
}
