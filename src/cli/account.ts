// `account …`: customers and their logins. Passwords come on standard input or are made here; they never
// stand in an argument, where every user of the machine could read them.
import {
  type AccountOperations,
  type AccountResult,
  createAccountOperations,
  isShortPassword,
} from '../accounts/operations.ts'
import { Fault } from '../runtime/fault.ts'
import { systemRandom } from '../runtime/random.ts'
import { type Call, type Command, type Option, yesNoOption } from './command.ts'
import { withOperations } from './configuration.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { printJson, tableText } from './output.ts'

const LICENCE_OPTIONS: readonly Option[] = [
  { name: 'domain', value: 'DOMAIN', multiple: true, help: 'licensed domain: any address in it; repeatable' },
  { name: 'address', value: 'ADDRESS', multiple: true, help: 'licensed single address; repeatable' },
  { name: 'cleartext', value: 'yes|no', help: 'may mail be marked for delivery in the clear; default yes' },
  { name: 'null-sender', value: 'yes|no', help: 'may send with the empty sender <>; default no' },
]
const LOGIN_OPTIONS: readonly Option[] = [
  { name: 'login', value: 'LOGIN', help: 'user name, compared without regard to case' },
  { name: 'password-stdin', help: 'read the password from the first line of standard input' },
  { name: 'generate-password', help: 'make a password and print it once' },
]

const withAccounts = (
  call: Call,
  operate: (accounts: AccountOperations) => Promise<ExitCode>,
): Promise<ExitCode> =>
  withOperations(call, ({ accounts }) =>
    operate(createAccountOperations({ store: accounts, random: systemRandom })),
  )

export const accountAdd: Command = {
  words: ['account', 'add'],
  summary: 'create a customer with its licences and first login',
  positionals: ['NAME'],
  options: [...LICENCE_OPTIONS, ...LOGIN_OPTIONS],
  examples: [
    "account add 'Kanzlei Muster' --domain muster.example --login muster --password-stdin < password.txt",
    'account add printer --address scan@muster.example --login printer --generate-password --cleartext no',
  ],
  async run(call) {
    const login = call.text('login')
    if (login === undefined) throw new Fault('usage', '--login is missing')
    const { password, isOurs } = await readPassword(call)
    const cleartextAllowed = yesNoOption(call, 'cleartext')
    const nullReversePathAllowed = yesNoOption(call, 'null-sender')
    return withAccounts(call, async (accounts) => {
      const result = await accounts.addAccount({
        name: call.positionals[0] ?? '',
        domains: call.texts('domain'),
        addresses: call.texts('address'),
        login,
        password,
        ...(cleartextAllowed === undefined ? {} : { cleartextAllowed }),
        ...(nullReversePathAllowed === undefined ? {} : { nullReversePathAllowed }),
      })
      return printResult(call, result, isOurs ? password : null)
    })
  },
}

export const accountChange: Command = {
  words: ['account', 'change'],
  summary: 'change licences or permissions, add a login, set a password',
  positionals: ['NAME'],
  options: [...LICENCE_OPTIONS, ...LOGIN_OPTIONS],
  examples: [
    "account change 'Kanzlei Muster' --domain muster.example --domain kanzlei.example",
    "account change 'Kanzlei Muster' --login scanner --generate-password",
  ],
  async run(call) {
    const login = call.text('login')
    const credential = login === undefined ? null : { login, ...(await readPassword(call)) }
    const cleartextAllowed = yesNoOption(call, 'cleartext')
    const nullReversePathAllowed = yesNoOption(call, 'null-sender')
    const change = {
      ...(call.has('domain') ? { domains: call.texts('domain') } : {}),
      ...(call.has('address') ? { addresses: call.texts('address') } : {}),
      ...(cleartextAllowed === undefined ? {} : { cleartextAllowed }),
      ...(nullReversePathAllowed === undefined ? {} : { nullReversePathAllowed }),
    }
    if (credential === null && Object.keys(change).length === 0) {
      throw new Fault(
        'usage',
        'nothing to change: give --domain, --address, --cleartext, --null-sender or --login',
      )
    }
    return withAccounts(call, async (accounts) => {
      const name = call.positionals[0] ?? ''
      let result = await accounts.changeAccount(name, change)
      if (result.kind === 'ok' && credential !== null) {
        result = await accounts.setLogin(name, credential.login, credential.password)
      }
      return printResult(call, result, credential?.isOurs ? credential.password : null)
    })
  },
}

export const accountRemove: Command = {
  words: ['account', 'remove'],
  summary: 'remove a customer with all its logins, or one of its logins',
  positionals: ['NAME'],
  options: [{ name: 'login', value: 'LOGIN', help: 'remove only this login' }],
  examples: ["account remove 'Kanzlei Muster'", "account remove 'Kanzlei Muster' --login scanner"],
  run(call) {
    return withAccounts(call, async (accounts) => {
      const name = call.positionals[0] ?? ''
      const login = call.text('login')
      const removed =
        login === undefined ? await accounts.removeAccount(name) : await accounts.removeLogin(name, login)
      if (call.has('json')) printJson(call.terminal, { removed })
      else if (removed) call.terminal.out('removed; mail that was accepted before is still delivered')
      else
        call.terminal.err(login === undefined ? `no customer "${name}"` : `"${name}" has no login "${login}"`)
      return removed ? EXIT.ok : EXIT.failed
    })
  },
}

export const accountList: Command = {
  words: ['account', 'list'],
  summary: 'list customers with licences and logins',
  positionals: [],
  options: [],
  examples: ['account list', 'account list --json'],
  run(call) {
    return withAccounts(call, async (accounts) => {
      const all = await accounts.listAccounts()
      if (call.has('json')) {
        printJson(
          call.terminal,
          all.map(({ customer, logins }) => ({ ...customer, logins })),
        )
        return EXIT.ok
      }
      const rows = all.map(({ customer, logins }) => [
        customer.name,
        [...customer.domains, ...customer.addresses].join(' '),
        logins.join(' '),
        customer.cleartextAllowed ? 'yes' : 'no',
        customer.nullReversePathAllowed ? 'yes' : 'no',
      ])
      call.terminal.out(tableText(['CUSTOMER', 'MAY SEND AS', 'LOGINS', 'CLEARTEXT', 'NULL SENDER'], rows))
      return EXIT.ok
    })
  },
}

async function readPassword(call: Call): Promise<{ password: string; isOurs: boolean }> {
  if (call.has('password-stdin') === call.has('generate-password')) {
    throw new Fault('usage', 'give either --password-stdin or --generate-password')
  }
  if (call.has('generate-password'))
    return { password: systemRandom.bytes(18).toString('base64url'), isOurs: true }
  const [line = ''] = (await call.terminal.readInput()).split('\n', 1)
  const password = line.replace(/\r$/, '')
  if (password !== '' && isShortPassword(password)) {
    call.terminal.err('warning: the password has fewer than 12 characters; long random ones resist guessing')
  }
  return { password, isOurs: false }
}

/** @param password what to print once, when it was made here */
function printResult(call: Call, result: AccountResult, password: string | null): ExitCode {
  const { terminal } = call
  switch (result.kind) {
    case 'ok':
      if (call.has('json')) {
        const { customer, logins } = result
        printJson(terminal, { ...customer, logins, ...(password === null ? {} : { password }) })
      } else {
        terminal.out(`customer "${result.customer.name}" saved, logins: ${result.logins.join(' ')}`)
        if (password !== null) terminal.out(`password: ${password}`)
      }
      return EXIT.ok
    case 'invalid':
      terminal.err(result.reason)
      return EXIT.usage
    case 'exists':
      terminal.err('this customer exists; use "account change"')
      return EXIT.failed
    case 'unknown':
      terminal.err('there is no such customer; use "account list"')
      return EXIT.failed
    case 'login-taken':
      terminal.err(`this login belongs to customer "${result.customer}"`)
      return EXIT.failed
    default:
      return result satisfies never
  }
}
