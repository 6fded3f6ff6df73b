// A Postfix as the recipient's MX: takes any recipient of its domains, with or without STARTTLS, and keeps each
// delivery as one file in a Maildir, from which tests read arrived mails octet by octet.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CertificateFiles } from './authority.ts'
import { eventually } from './eventually.ts'
import { MAIL_UID, type Postfix, type PostfixSettings, startPostfix } from './postfix.ts'

export interface RecipientSettings extends PostfixSettings {
  readonly domains: readonly string[]
  /** Certificate for STARTTLS, or `null`: STARTTLS is not offered. */
  readonly tls: CertificateFiles | null
}

/** One delivery to one recipient, as Postfix wrote it. Lines end with LF, as always in a Maildir. */
export interface ArrivedMail {
  /** Name of the file below the Maildir, unique. */
  readonly file: string
  /** Envelope: reverse-path without angle brackets (empty for the null one) and forward-path. */
  readonly reversePath: string
  readonly forwardPath: string
  /** Postfix's own, topmost Received field, unfolded: client, TLS version and suite, queue id. */
  readonly received: string
  /** Everything below Postfix's own fields: the mail as it came over the wire, but for its line ends. */
  readonly mail: Buffer
}

export interface PostfixRecipient extends Postfix {
  /** All that arrived so far, in no particular order. */
  mails(): Promise<ArrivedMail[]>
  /** Waits until at least `count` arrived, and returns them all. */
  waitForMails(count: number, limitMs?: number): Promise<ArrivedMail[]>
}

/** Starts the MX. A second mail to the same recipient and a duplicate are separate files: tests can count. */
export async function startPostfixRecipient(settings: RecipientSettings): Promise<PostfixRecipient> {
  const { tls } = settings
  const postfix = await startPostfix({
    ...settings,
    mainCf: {
      virtual_mailbox_domains: settings.domains.join(' '),
      virtual_mailbox_base: '$mail_spool_directory',
      virtual_mailbox_maps: 'static:arrived/',
      virtual_uid_maps: `static:${MAIL_UID}`,
      virtual_gid_maps: `static:${MAIL_UID}`,
      smtpd_relay_restrictions: 'reject_unauth_destination',
      default_transport: 'error:this recipient relays nothing',
      smtpd_tls_security_level: tls ? 'may' : 'none',
      ...(tls && { smtpd_tls_chain_files: `${tls.key}, ${tls.chain}` }),
      smtpd_tls_received_header: 'yes',
      smtpd_tls_loglevel: '1',
      smtpd_client_connection_count_limit: '0',
      ...settings.mainCf,
    },
  })
  const folder = join(postfix.directory, 'mail/arrived/new')
  const files = (): Promise<string[]> => readdir(folder).catch(() => [])
  const mails = async (): Promise<ArrivedMail[]> =>
    Promise.all((await files()).map(async (file) => parseArrived(file, await readFile(join(folder, file)))))
  return {
    ...postfix,
    mails,
    waitForMails: (count, limitMs = 30_000) =>
      eventually(
        `${count} mails at ${settings.hostname}`,
        limitMs,
        async () => ((await files()).length >= count ? mails() : null),
        async () => `${(await files()).length} arrived\n${(await postfix.log()).slice(-4000)}`,
      ),
  }
}

/** Takes off the four fields that `virtual` and `smtpd` put on top, in their fixed order. */
function parseArrived(file: string, content: Buffer): ArrivedMail {
  const text = content.toString('latin1')
  const own =
    /^Return-Path: <(.*)>\n(?:X-Original-To: (.*)\n)?Delivered-To: (.*)\n(Received: .*\n(?:[ \t].*\n)*)/.exec(
      text,
    )
  if (own === null) throw new Error(`${file} does not begin as Postfix writes it:\n${text.slice(0, 400)}`)
  return {
    file,
    reversePath: own[1] ?? '',
    forwardPath: own[2] ?? own[3] ?? '',
    received: (own[4] ?? '').replaceAll(/\n[ \t]+/g, ' ').trimEnd(),
    mail: content.subarray(own[0].length),
  }
}
