// What operators do with customers and logins (product rows S3, S4), for the command line now and for the
// API later: one implementation, bad input answered by value. Texts become `Domain`s and mailbox keys here;
// the store never sees what was not parsed. Passwords are hashed here and kept nowhere.
import type { Random } from '../runtime/random.ts'
import { type Domain, parseDomain } from '../smtp/domain.ts'
import { mailboxFrom, mailboxKey } from '../smtp/mailbox.ts'
import type { Customer } from './account.ts'
import { foldLogin } from './login.ts'
import { hashPassword, PASSWORD_COST, PASSWORD_OCTETS_MAX, type PasswordCost } from './password.ts'
import type { AccountStore } from './store.ts'

/** A new customer as an operator writes it. Domains in either spelling, addresses as mailboxes. */
export interface NewAccount {
  readonly name: string
  readonly domains: readonly string[]
  readonly addresses: readonly string[]
  readonly login: string
  readonly password: string
  /** Default: yes. */
  readonly cleartextAllowed?: boolean
  /** Default: no. */
  readonly nullReversePathAllowed?: boolean
}

/** What is to change; what is left out stays. Lists replace the former ones. */
export type AccountChange = Partial<
  Pick<NewAccount, 'domains' | 'addresses' | 'cleartextAllowed' | 'nullReversePathAllowed'>
>

/** `invalid.reason` is a sentence that names the value and what is allowed; never a password. */
export type AccountResult =
  | { readonly kind: 'ok'; readonly customer: Customer; readonly logins: readonly string[] }
  | { readonly kind: 'invalid'; readonly field: keyof NewAccount; readonly reason: string }
  | { readonly kind: 'exists' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'login-taken'; readonly customer: string }

export interface AccountOperations {
  /** Creates a customer with its first login; `exists` and `login-taken` change nothing. */
  addAccount(account: NewAccount): Promise<AccountResult>
  /** Changes licences or permissions of a customer. */
  changeAccount(name: string, change: AccountChange): Promise<AccountResult>
  /** Adds a login to a customer, or gives its login a new password. */
  setLogin(name: string, login: string, password: string): Promise<AccountResult>
  /** Takes one login away; `false` when the customer has no such login. */
  removeLogin(name: string, login: string): Promise<boolean>
  /** Removes the customer and all its logins; `false` when there is none. */
  removeAccount(name: string): Promise<boolean>
  listAccounts(): Promise<{ customer: Customer; logins: string[] }[]>
}

/** BSI recommends 12 for several character kinds. Shorter ones are the operator's decision: he is warned. */
const PASSWORD_CHARACTERS_ADVISED = 12

/** True when an operator should be warned about a password that he chose. */
export const isShortPassword = (password: string): boolean =>
  [...password].length < PASSWORD_CHARACTERS_ADVISED

const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N} ._&+-]{0,78}[\p{L}\p{N}.])?$/u
const LOGIN = /^[!-~]{1,255}$/
const LICENCES_MAX = 10_000

type Invalid = Extract<AccountResult, { kind: 'invalid' }>
const invalid = (field: keyof NewAccount, reason: string): Invalid => ({ kind: 'invalid', field, reason })

/** `cost` is for tests. */
export function createAccountOperations(
  { store, random }: { readonly store: AccountStore; readonly random: Random },
  cost: PasswordCost = PASSWORD_COST,
): AccountOperations {
  const loginsOf = async (name: string): Promise<string[]> =>
    (await store.listCustomers()).find(({ customer }) => customer.name === name)?.logins ?? []

  const ok = async (customer: Customer): Promise<AccountResult> => ({
    kind: 'ok',
    customer,
    logins: await loginsOf(customer.name),
  })

  const storeLogin = async (customer: string, login: string, password: string): Promise<void> =>
    store.putCredential({ login, customer, passwordHash: await hashPassword(password, random, cost) })

  return {
    async addAccount(account) {
      const login = foldLogin(account.login)
      const licences = parseLicences(account)
      if (!NAME.test(account.name)) return invalid('name', nameReason(account.name))
      if (licences.kind === 'invalid') return licences
      const fault = checkLogin(login) ?? checkPassword(account.password)
      if (fault !== null) return fault
      if ((await store.findCustomer(account.name)) !== null) return { kind: 'exists' }
      const owner = await store.findCredential(login)
      if (owner !== null) return { kind: 'login-taken', customer: owner.customer.name }
      const customer: Customer = {
        name: account.name,
        domains: licences.domains,
        addresses: licences.addresses,
        cleartextAllowed: account.cleartextAllowed ?? true,
        nullReversePathAllowed: account.nullReversePathAllowed ?? false,
      }
      await store.putCustomer(customer)
      await storeLogin(customer.name, login, account.password)
      return ok(customer)
    },

    async changeAccount(name, change) {
      const former = await store.findCustomer(name)
      if (former === null) return { kind: 'unknown' }
      const licences = parseLicences({
        domains: change.domains ?? former.domains,
        addresses: change.addresses ?? former.addresses,
      })
      if (licences.kind === 'invalid') return licences
      const customer: Customer = {
        name: former.name,
        domains: licences.domains,
        addresses: licences.addresses,
        cleartextAllowed: change.cleartextAllowed ?? former.cleartextAllowed,
        nullReversePathAllowed: change.nullReversePathAllowed ?? former.nullReversePathAllowed,
      }
      await store.putCustomer(customer)
      return ok(customer)
    },

    async setLogin(name, givenLogin, password) {
      const login = foldLogin(givenLogin)
      const fault = checkLogin(login) ?? checkPassword(password)
      if (fault !== null) return fault
      const customer = await store.findCustomer(name)
      if (customer === null) return { kind: 'unknown' }
      const owner = await store.findCredential(login)
      if (owner !== null && owner.customer.name !== name) {
        return { kind: 'login-taken', customer: owner.customer.name }
      }
      await storeLogin(name, login, password)
      return ok(customer)
    },

    async removeLogin(name, givenLogin) {
      const login = foldLogin(givenLogin)
      const found = await store.findCredential(login)
      return found?.customer.name === name && (await store.removeCredential(login))
    },

    removeAccount: (name) => store.removeCustomer(name),
    listAccounts: () => store.listCustomers(),
  }
}

type Licences = { kind: 'licences'; domains: readonly Domain[]; addresses: readonly string[] }

/** Parsed and without repetitions; at least one licence of either sort, or nobody could send. */
function parseLicences(given: Pick<NewAccount, 'domains' | 'addresses'>): Licences | Invalid {
  const domains = new Set<Domain>()
  for (const text of given.domains) {
    const domain = parseDomain(text)
    if (domain === null) return invalid('domains', `"${shown(text)}" is not a domain such as example.org`)
    domains.add(domain)
  }
  const addresses = new Set<string>()
  for (const text of given.addresses) {
    const mailbox = mailboxFrom(text)
    if (mailbox === null) {
      return invalid('addresses', `"${shown(text)}" is not an address such as office@example.org`)
    }
    addresses.add(mailboxKey(mailbox))
  }
  const licences = domains.size + addresses.size
  if (licences === 0) return invalid('domains', 'at least one domain or address is needed')
  if (licences > LICENCES_MAX) return invalid('domains', `at most ${LICENCES_MAX} domains and addresses`)
  return { kind: 'licences', domains: [...domains], addresses: [...addresses] }
}

const nameReason = (name: string): string =>
  `"${shown(name)}" is not a name: letters, digits, spaces and . _ & + -, at most 80 characters, beginning with a letter or digit`

const checkLogin = (login: string): Invalid | null =>
  LOGIN.test(login)
    ? null
    : invalid('login', `"${shown(login)}" is not a login: printable ASCII without spaces, at most 255`)

function checkPassword(password: string): Invalid | null {
  if (password === '') return invalid('password', 'the password is empty')
  if (Buffer.byteLength(password) > PASSWORD_OCTETS_MAX) {
    return invalid('password', `the password may have at most ${PASSWORD_OCTETS_MAX} octets`)
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a SASL PLAIN password (RFC 4616 §2)
  return /[\u0000-\u001f\u007f]/.test(password)
    ? invalid('password', 'the password may not hold control characters')
    : null
}

/** A value as it may stand in a message on a terminal. */
const shown = (text: string): string => text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?').slice(0, 100)
