// Customers and credentials as a port: one statement each.
import type { Customer } from '../../accounts/account.ts'
import type { AccountStore } from '../../accounts/store.ts'
import { Fault } from '../../runtime/fault.ts'
import { decodeList, isDomain } from '../record.ts'
import { flag, type Row, text } from './session/columns.ts'
import type { Result, Statement } from './session/connection.ts'
import type { Pool } from './session/pool.ts'
import { faultOf } from './session/trouble.ts'

const CUSTOMER = 'c.name, c.domains, c.addresses, c.cleartext_allowed, c.null_reverse_path_allowed'

const statement = (name: string, words: string): Statement => ({ name, text: words })

const FIND_CREDENTIAL = statement(
  'find-credential',
  `SELECT k.login, k.password_hash, ${CUSTOMER}
     FROM credential AS k JOIN customer AS c ON c.name = k.customer WHERE k.login = $1::text`,
)
const FIND_CUSTOMER = statement(
  'find-customer',
  `SELECT ${CUSTOMER} FROM customer AS c WHERE c.name = $1::text`,
)
const LIST_CUSTOMERS = statement(
  'list-customers',
  `SELECT ${CUSTOMER}, coalesce(json_agg(k.login ORDER BY k.login) FILTER (WHERE k.login IS NOT NULL), '[]')::text
      AS logins
     FROM customer AS c LEFT JOIN credential AS k ON k.customer = c.name GROUP BY c.name ORDER BY c.name`,
)
const PUT_CUSTOMER = statement(
  'put-customer',
  `INSERT INTO customer AS c (name, domains, addresses, cleartext_allowed, null_reverse_path_allowed)
   VALUES ($1::text, $2::text, $3::text, $4::boolean, $5::boolean)
   ON CONFLICT (name) DO UPDATE SET domains = excluded.domains, addresses = excluded.addresses,
     cleartext_allowed = excluded.cleartext_allowed, null_reverse_path_allowed = excluded.null_reverse_path_allowed`,
)
const PUT_CREDENTIAL = statement(
  'put-credential',
  `INSERT INTO credential (login, customer, password_hash) VALUES ($1::text, $2::text, $3::text)
   ON CONFLICT (login) DO UPDATE SET customer = excluded.customer, password_hash = excluded.password_hash`,
)
const REMOVE_CREDENTIAL = statement('remove-credential', 'DELETE FROM credential WHERE login = $1::text')
const REMOVE_CUSTOMER = statement('remove-customer', 'DELETE FROM customer WHERE name = $1::text')

/** Throws when the row is damaged: a licence that cannot be read allows nothing. */
function customerOf(row: Row): Customer {
  const name = text(row, 'name')
  const domains = decodeList(text(row, 'domains'), isDomain)
  const addresses = decodeList(text(row, 'addresses'), (address): address is string => address.includes('@'))
  if (domains === null || addresses === null) {
    throw new Fault('store-unavailable', `the licences of customer ${name} are damaged`)
  }
  return {
    name,
    domains,
    addresses,
    cleartextAllowed: flag(row, 'cleartext_allowed'),
    nullReversePathAllowed: flag(row, 'null_reverse_path_allowed'),
  }
}

/** `commits`: for what must be durable; `reads`: for the rest. */
export function createAccounts(commits: Pool, reads: Pool): AccountStore {
  const ask = async (pool: Pool, question: Statement, values: readonly unknown[]): Promise<Result> => {
    try {
      return await pool.run((connection) => connection.query(question, values))
    } catch (error) {
      throw faultOf(error)
    }
  }
  return {
    async findCredential(login) {
      const [row] = (await ask(reads, FIND_CREDENTIAL, [login.toLowerCase()])).rows
      if (row === undefined) return null
      const customer = customerOf(row)
      const credential = {
        login: text(row, 'login'),
        customer: customer.name,
        passwordHash: text(row, 'password_hash'),
      }
      return { credential, customer }
    },
    async putCustomer({ name, domains, addresses, cleartextAllowed, nullReversePathAllowed }) {
      const lists = [JSON.stringify(domains), JSON.stringify(addresses)]
      await ask(commits, PUT_CUSTOMER, [name, ...lists, cleartextAllowed, nullReversePathAllowed])
    },
    async putCredential({ login, customer, passwordHash }) {
      await ask(commits, PUT_CREDENTIAL, [login.toLowerCase(), customer, passwordHash])
    },
    removeCredential: async (login) =>
      (await ask(commits, REMOVE_CREDENTIAL, [login.toLowerCase()])).count > 0,
    removeCustomer: async (name) => (await ask(commits, REMOVE_CUSTOMER, [name])).count > 0,
    async findCustomer(name) {
      const [row] = (await ask(reads, FIND_CUSTOMER, [name])).rows
      return row === undefined ? null : customerOf(row)
    },
    async listCustomers() {
      const { rows } = await ask(reads, LIST_CUSTOMERS, [])
      return rows.map((row) => ({ customer: customerOf(row), logins: JSON.parse(text(row, 'logins')) }))
    },
  }
}
