// A customer's Postfix, configured with exactly the lines that our documentation gives to customers (S10): it
// hands everything to one relayhost, over mandatory TLS, with a login.
import { type Postfix, type PostfixSettings, startPostfix } from './postfix.ts'

export interface RelayhostSettings extends PostfixSettings {
  /** The relay that all mail goes to. */
  readonly relayhost: { readonly host: string; readonly port: number }
  readonly login: string
  readonly password: string
}

export interface PostfixRelayhost extends Postfix {
  /**
   * Hands `mail` in through `sendmail`, as a local program does. The reverse-path is `from`; the header is the
   * caller's. Lines may end with LF or CRLF. Resolves when the mail is in this Postfix's queue.
   */
  send(mail: string | Uint8Array, from: string, to: readonly string[]): Promise<void>
}

/** What docs tell customers to write into main.cf; the login is in `sasl_passwd` beside it. */
export function documentedMainCf(relayhost: RelayhostSettings['relayhost']): Record<string, string> {
  return {
    relayhost: `[${relayhost.host}]:${relayhost.port}`,
    smtp_tls_security_level: 'encrypt',
    smtp_sasl_auth_enable: 'yes',
    smtp_sasl_password_maps: 'texthash:$config_directory/sasl_passwd',
    smtp_sasl_security_options: 'noanonymous',
  }
}

export async function startPostfixRelayhost(settings: RelayhostSettings): Promise<PostfixRelayhost> {
  const { relayhost, login, password } = settings
  const postfix = await startPostfix({
    ...settings,
    mainCf: {
      ...documentedMainCf(relayhost),
      smtp_tls_loglevel: '1',
      ...settings.mainCf,
    },
    files: { sasl_passwd: `[${relayhost.host}]:${relayhost.port} ${login}:${password}\n`, ...settings.files },
  })
  return {
    ...postfix,
    async send(mail, from, to) {
      await postfix.command('sendmail', ['-i', '-f', from, '--', ...to], mail)
    },
  }
}
