// `npm run demo`: the main job in a few seconds and without the internet. The real gateway, an ordinary SMTP
// client, and recipients on loopback: one with TLS, one without, one that refuses. Ends by itself; exit code 0
// only when every mail met the fate it had to and both failures were told to the sender.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAccountOperations } from '../accounts/operations.ts'
import { loadConfiguration } from '../config/load.ts'
import type { EventName } from '../observability/events.ts'
import type { Log } from '../observability/log.ts'
import { createRelay, type Relay } from '../relay.ts'
import { systemClock } from '../runtime/clock.ts'
import { withDeadline } from '../runtime/deadline.ts'
import { Fault } from '../runtime/fault.ts'
import { systemRandom } from '../runtime/random.ts'
import { makeSelfSigned } from '../trial/certificate.ts'
import { type ClientServer, sendMail } from '../trial/client.ts'
import { DEMO_MAILS, DEMO_RECIPIENTS, DEMO_SENDER_DOMAIN, demoConfig } from '../trial/demo-scenario.ts'
import { viewNotice } from '../trial/notice-view.ts'
import { type ReceivedMail, startTrialRecipient, type TrialRecipient } from '../trial/recipient.ts'
import type { Command } from './command.ts'
import { EXIT } from './exit-code.ts'

const LIMIT_MS = 50_000
const DRAIN_MS = 5_000

type Print = (text: string) => void
type Fields = Readonly<Record<string, unknown>>

export const demo: Command = {
  words: ['demo'],
  summary: 'show the main job on this machine, without the internet',
  positionals: [],
  options: [],
  examples: ['demo'],
  run: async (call) => ((await runDemo((text) => call.terminal.out(text))) ? EXIT.ok : EXIT.failed),
}

/** Runs the demo; true when everything went as expected. */
export async function runDemo(print: Print): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'secure-transport-demo-'))
  const recipients = new Map<string, TrialRecipient>()
  const witness = createWitness()
  let relay: Relay | null = null
  try {
    const pair = makeSelfSigned(['localhost'], { now: systemClock.now(), days: 2, random: systemRandom })
    await writeFile(join(directory, 'certificate.pem'), pair.certificatePem)
    await writeFile(join(directory, 'key.pem'), pair.keyPem, { mode: 0o600 })
    for (const { domain, options } of DEMO_RECIPIENTS) {
      const certificate = options.offersTls ? pair : null
      const own = {
        hostname: `mx.${domain}`,
        certificate,
        onMail: (mail: ReceivedMail) => witness.arrived(domain, mail),
      }
      recipients.set(
        domain,
        await startTrialRecipient(0, { ...own, ...(options.refusal && { refusal: options.refusal }) }),
      )
    }
    const routes = [...recipients].map(([domain, { port }]) => ({ domain, port }))
    relay = await openGateway(join(directory, 'demo.yaml'), demoConfig(routes), witness.log)
    const server = { ...(await openLogin(relay)), certificatePem: pair.certificatePem }
    return await play(print, server, witness)
  } finally {
    await relay?.drain(DRAIN_MS)
    await relay?.stop()
    for (const recipient of recipients.values()) await recipient.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function openGateway(path: string, yaml: string, log: Log): Promise<Relay> {
  await writeFile(path, yaml)
  const loaded = loadConfiguration(path)
  if (loaded.kind === 'invalid') {
    throw new Fault('configuration', loaded.problems.map(({ key, text }) => `${key} ${text}`).join('; '))
  }
  return createRelay(loaded.configuration, log)
}

async function openLogin(relay: Relay): Promise<Omit<ClientServer, 'certificatePem'>> {
  const password = systemRandom.bytes(12).toString('base64url')
  const operations = createAccountOperations({ store: relay.accounts, random: systemRandom })
  const account = { name: 'Office', domains: [DEMO_SENDER_DOMAIN], addresses: [], login: 'office', password }
  const added = await operations.addAccount(account)
  if (added.kind !== 'ok') throw new Fault('internal', `the demo's customer could not be made: ${added.kind}`)
  const { listeners } = await relay.start()
  return { port: listeners[0]?.port ?? 0, login: 'office', password }
}

/** Sends the mails one after the other, waits for the fate of each, then for the notices. */
async function play(print: Print, server: ClientServer, witness: Witness): Promise<boolean> {
  let good = true
  let failures = 0
  print('secureTransport demo: four mails from max@office.example, on this machine only.\n')
  for (const { domain, says } of DEMO_RECIPIENTS) print(`  ${domain.padEnd(16)} ${says}`)
  for (const { mail, expected } of DEMO_MAILS) {
    print(`\n▶ To ${mail.to}, subject "${mail.subject}"`)
    const reply = await sendMail(server, mail)
    print(`  gateway to the mail program: ${reply}`)
    const id = /id=(\S+)/.exec(reply)?.[1]
    const fate = id === undefined ? null : await witness.fateOf(id)
    if (fate === null || fate.event !== `delivery.${expected}`) good = false
    print(`  ${fate === null ? 'not accepted' : describeFate(fate)}`)
    if (expected === 'failed') failures++
  }
  const notices = await witness.noticesAt(DEMO_SENDER_DOMAIN, failures)
  for (const notice of notices) {
    const { subject, text } = viewNotice(notice.content)
    print(`\n✉ Notice to the sender (${notice.transport ?? 'in the clear'}): ${subject}\n`)
    print(
      text
        .split('\n')
        .map((line) => `    ${line}`)
        .join('\n'),
    )
  }
  print(good ? '\nEverything went as it should.' : '\nSomething did not go as it should: see above.')
  return good && notices.length === failures
}

interface Fate {
  readonly event: string
  readonly fields: Fields
}

function describeFate({ event, fields }: Fate): string {
  if (event !== 'delivery.delivered')
    return `✘ not delivered (${fields['cause']}): ${fields['detail'] ?? fields['reply']}`
  const how =
    fields['transport'] === 'cleartext'
      ? `IN THE CLEAR, as the sender allowed (${fields['permit']})`
      : `over ${fields['tlsProtocol']}, ${fields['tlsCipher']}, ${fields['tlsGroup']}`
  return `✔ delivered ${how}; their server said: ${fields['reply']}`
}

type Witness = ReturnType<typeof createWitness>

/** Watches the gateway's log and the recipients; waits for what must come, within the demo's time. */
function createWitness() {
  const fates = new Map<string, Fate>()
  const mails = new Map<string, ReceivedMail[]>()
  const wake: (() => void)[] = []
  const changed = (): void => {
    for (const look of wake.splice(0)) look()
  }
  const until = async <T>(what: string, look: () => T | null): Promise<T> => {
    const loop = async (): Promise<T> => {
      for (;;) {
        const found = look()
        if (found !== null) return found
        await new Promise<void>((resolve) => wake.push(resolve))
      }
    }
    return withDeadline(systemClock, LIMIT_MS, what, loop())
  }
  const log: Log = {
    event(name: EventName, fields: Fields) {
      const id = fields['message']
      if (typeof id === 'string' && (name === 'delivery.delivered' || name === 'delivery.failed')) {
        fates.set(id, { event: name, fields })
      }
      changed()
    },
  }
  return {
    log,
    arrived(domain: string, mail: ReceivedMail): void {
      mails.set(domain, [...(mails.get(domain) ?? []), mail])
      changed()
    },
    fateOf: (id: string): Promise<Fate> => until(`the fate of ${id}`, () => fates.get(id) ?? null),
    noticesAt: (domain: string, count: number): Promise<ReceivedMail[]> =>
      until('the notices', () => {
        const found = mails.get(domain) ?? []
        return found.length >= count ? found : null
      }),
  }
}
