// `npm start` (`secure-transport start`): the gateway as a trial on this machine, with everything it needs made
// on the spot: certificate, configuration, first customer, a recipient of its own. Not for production.
import { resolve } from 'node:path'
import { type AccountOperations, createAccountOperations } from '../accounts/operations.ts'
import type { AccountStore } from '../accounts/store.ts'
import { loadConfiguration } from '../config/load.ts'
import type { Configuration } from '../config/schema.ts'
import { createLog } from '../observability/log.ts'
import { systemClock } from '../runtime/clock.ts'
import { Fault } from '../runtime/fault.ts'
import { systemRandom } from '../runtime/random.ts'
import { sanitiseText } from '../smtp/reply.ts'
import { viewNotice } from '../trial/notice-view.ts'
import { type ReceivedMail, startTrialRecipient, type TrialRecipient } from '../trial/recipient.ts'
import {
  describeTrial,
  prepareTrial,
  TRIAL_LOGIN,
  TRIAL_RECIPIENT_DOMAIN,
  TRIAL_SENDER_DOMAIN,
  type Trial,
  type TrialPorts,
  writeTrialConfig,
} from '../trial/setup.ts'
import { type Command, numberOption } from './command.ts'
import type { ServedRelay } from './ports.ts'
import { runUntilSignal } from './serve.ts'

const TRIAL_CUSTOMER = 'Trial'
const PORT_MAX = 65_535
const DRAIN_LIMIT_MS = 5_000

export interface TrialOptions {
  readonly directory: string
  readonly ports: TrialPorts
  /** Port of the trial's own recipient; 0 lets the system choose. */
  readonly recipientPort: number
  /** Epoch ms. */
  readonly now: number
  readonly print: (text: string) => void
}

export const start: Command = {
  words: ['start'],
  summary: 'run a trial on this machine: everything it needs is made on the spot',
  positionals: [],
  options: [
    { name: 'directory', value: 'DIR', help: 'where the trial keeps its files; default ./data/trial' },
    { name: 'port', value: 'N', help: 'port of the STARTTLS listener; default 2587' },
    { name: 'tls-port', value: 'N', help: 'port of the listener with implicit TLS; default 2465' },
    { name: 'http-port', value: 'N', help: 'port of health and metrics; default 8025' },
    { name: 'recipient-port', value: 'N', help: "port of the trial's own recipient; default 2526" },
  ],
  examples: ['start', 'start --directory /tmp/trial --port 3587'],
  async run(call) {
    const ports = {
      starttls: numberOption(call, 'port', 2587, PORT_MAX),
      implicit: numberOption(call, 'tls-port', 2465, PORT_MAX),
      http: numberOption(call, 'http-port', 8025, PORT_MAX),
    }
    const { trial, recipient } = await openTrial({
      directory: resolve(call.text('directory') ?? 'data/trial'),
      ports,
      recipientPort: numberOption(call, 'recipient-port', 2526, PORT_MAX),
      now: systemClock.now(),
      print: (text) => call.terminal.out(text),
    })
    try {
      const configuration = loadTrial(trial)
      const operations = await call.ports.openOperations(configuration)
      await openTrialAccount(operations.accounts, trial).finally(() => operations.close())
      const log = createLog(configuration.log, 1, systemClock.now)
      const announced = async (onFatal: (fault: Fault) => void): Promise<ServedRelay> => {
        const relay = await call.ports.createRelay(configuration, log, { onFatal })
        return {
          ...relay,
          async start() {
            await relay.start()
            call.terminal.out(describeTrial(trial, ports, resolve('.')))
          },
        }
      }
      return await runUntilSignal(announced, call.host, log, DRAIN_LIMIT_MS)
    } finally {
      await recipient.stop()
    }
  },
}

function loadTrial(trial: Trial): Configuration {
  const loaded = loadConfiguration(trial.configPath)
  if (loaded.kind === 'ok') return loaded.configuration
  throw new Fault('configuration', loaded.problems.map(({ key, text }) => `${key} ${text}`).join('; '))
}

/** Makes the trial's files and starts its recipient; `trial.configPath` is what to serve. */
export async function openTrial(options: TrialOptions): Promise<{ trial: Trial; recipient: TrialRecipient }> {
  const trial = await prepareTrial(options.directory, options.now, systemRandom)
  const recipient = await startTrialRecipient(options.recipientPort, {
    hostname: `mx.${TRIAL_RECIPIENT_DOMAIN}`,
    certificate: trial.certificate,
    onMail: (mail) => options.print(describeArrival(mail)),
  })
  await writeTrialConfig(trial, options.ports, recipient.port)
  return { trial, recipient }
}

/** Creates the trial's customer, or gives its login the password that is going to be printed. */
export async function openTrialAccount(store: AccountStore, { password }: Trial): Promise<void> {
  const operations: AccountOperations = createAccountOperations({ store, random: systemRandom })
  const account = {
    name: TRIAL_CUSTOMER,
    domains: [TRIAL_SENDER_DOMAIN],
    addresses: [],
    login: TRIAL_LOGIN,
    password,
  }
  const added = await operations.addAccount(account)
  const done =
    added.kind === 'exists' ? await operations.setLogin(TRIAL_CUSTOMER, TRIAL_LOGIN, password) : added
  if (done.kind !== 'ok') throw new Fault('internal', `the trial's customer could not be made: ${done.kind}`)
}

/** One line for each mail that the trial's recipient took. */
function describeArrival(mail: ReceivedMail): string {
  const { subject } = viewNotice(mail.content)
  const how = mail.transport ?? 'in the clear'
  const from = mail.reversePath === '' ? 'notice' : `mail from ${mail.reversePath}`
  return sanitiseText(`✉ ${from} arrived at ${mail.recipients.join(', ')} over ${how}: "${subject}"`)
}
