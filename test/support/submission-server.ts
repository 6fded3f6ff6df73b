// A submission listener on port 0 with everything behind it faked: what the dialogue says, without a queue.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Customer } from '../../src/accounts/account.ts'
import type { DataReader } from '../../src/message/wire.ts'
import type { Log } from '../../src/observability/log.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { parseDomain } from '../../src/smtp/domain.ts'
import { type CataloguedReply, cataloguedReply } from '../../src/smtp/replies.ts'
import type { Reception, Transaction } from '../../src/submission/acceptance.ts'
import { createSubmission, type Submission } from '../../src/submission/listener.ts'
import { createSenderPolicy } from '../../src/submission/sender-policy.ts'
import { submissionSettings } from '../../src/submission/settings.ts'
import { makeSelfSigned } from '../../src/trial/certificate.ts'

/** A message as the fake acceptance saw it. */
export interface SeenMessage {
  readonly transaction: Transaction
  readonly content: string
  readonly problem: string | null
  readonly aborted: boolean
}

export interface SubmissionServerOptions {
  readonly settings?: Record<string, unknown>
  readonly encryption?: 'starttls' | 'implicit'
  readonly clock?: Clock
  /** The reply to a message; default is the acceptance. */
  readonly answer?: (content: string) => CataloguedReply | Promise<CataloguedReply>
  readonly mayAccept?: () => boolean
  readonly log?: Log
}

export interface SubmissionServer {
  readonly port: number
  readonly submission: Submission
  readonly messages: SeenMessage[]
  /** Resolves when `count` messages were seen, finished or aborted. */
  seen(count: number): Promise<SeenMessage[]>
  stop(): Promise<void>
}

export const OFFICE: Customer = {
  name: 'office',
  domains: [parseDomain('office.example') ?? 'never'].flatMap((name) => parseDomain(name) ?? []),
  addresses: [],
  cleartextAllowed: true,
  nullReversePathAllowed: false,
}

/** Starts the listener; the login is `max` with the password `right`. */
export async function startSubmission(options: SubmissionServerOptions = {}): Promise<SubmissionServer> {
  const directory = await mkdtemp(join(tmpdir(), 'st-submission-'))
  const pair = makeSelfSigned(['gw.example'], { now: Date.now(), days: 2, random: systemRandom })
  const [chain, key] = [join(directory, 'chain.pem'), join(directory, 'key.pem')]
  await Promise.all([writeFile(chain, pair.certificatePem), writeFile(key, pair.keyPem)])
  const settings = submissionSettings.parse(options.settings ?? {})
  const messages: SeenMessage[] = []
  let wake: () => void = () => undefined
  const record = (message: SeenMessage): void => {
    messages.push(message)
    wake()
  }
  const receive = (transaction: Transaction): Reception => {
    const parts: Buffer[] = []
    let over = false
    const content = (): string => Buffer.concat(parts).toString('latin1')
    return {
      write: (chunk) => {
        parts.push(Buffer.from(chunk))
        return null
      },
      async finish(reader: DataReader) {
        over = true
        record({ transaction, content: content(), problem: reader.problem, aborted: false })
        return (await options.answer?.(content())) ?? cataloguedReply('message-accepted', { id: 'test' })
      },
      abort: () => {
        if (!over) record({ transaction, content: content(), problem: null, aborted: true })
        over = true
      },
    }
  }
  const submission = createSubmission(
    {
      clock: options.clock ?? systemClock,
      log: options.log ?? { event: () => undefined },
      login: {
        verify: async (login, password) =>
          login === 'max' && password === 'right'
            ? { kind: 'ok', identity: { login, customer: OFFICE } }
            : { kind: 'refused', reason: 'wrong-password' },
      },
      sessionDeps: {
        mayAccept: options.mayAccept ?? (() => true),
        senderPolicy: createSenderPolicy(async () => 'receives', settings),
      },
      receive,
      newIncident: () => 'incident-1',
    },
    {
      hostname: 'gw.example',
      listeners: [{ address: '127.0.0.1', port: 0, encryption: options.encryption ?? 'starttls' }],
      certificates: [{ chain, key }],
      settings,
    },
  )
  const [bound] = await submission.start()
  return {
    port: bound?.port ?? 0,
    submission,
    messages,
    async seen(count) {
      while (messages.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return messages
    },
    async stop() {
      await submission.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
