// Customers and credentials as a port over the executor.
import type { Customer } from '../../accounts/account.ts'
import type { AccountStore } from '../../accounts/store.ts'
import { Fault } from '../../runtime/fault.ts'
import { decodeList, isDomain } from '../record.ts'
import type { CustomerRow, Executor } from './writer/protocol.ts'

/** Throws when the row is damaged: a licence that cannot be read allows nothing. */
function customerOf(row: CustomerRow): Customer {
  const domains = decodeList(row.domains, isDomain)
  const addresses = decodeList(row.addresses, (text): text is string => text.includes('@'))
  if (domains === null || addresses === null) {
    throw new Fault('store-unavailable', `the licences of customer ${row.name} are damaged`)
  }
  const { name, cleartextAllowed, nullReversePathAllowed } = row
  return { name, domains, addresses, cleartextAllowed, nullReversePathAllowed }
}

const rowOf = (customer: Customer): CustomerRow => ({
  ...customer,
  domains: JSON.stringify(customer.domains),
  addresses: JSON.stringify(customer.addresses),
})

export const createAccounts = (executor: Executor): AccountStore => ({
  async findCredential(login) {
    const found = await executor.request('findCredential', { login: login.toLowerCase() })
    return found === null ? null : { credential: found.credential, customer: customerOf(found.customer) }
  },
  async putCustomer(customer) {
    await executor.request('putCustomer', rowOf(customer))
  },
  async putCredential({ login, customer, passwordHash }) {
    await executor.request('putCredential', { login: login.toLowerCase(), customer, passwordHash })
  },
  removeCredential: (login) => executor.request('removeCredential', { login: login.toLowerCase() }),
  removeCustomer: (name) => executor.request('removeCustomer', { name }),
  async findCustomer(name) {
    const found = await executor.request('findCustomer', { name })
    return found === null ? null : customerOf(found)
  },
  async listCustomers() {
    const found = await executor.request('listCustomers', null)
    return found.map(({ customer, logins }) => ({ customer: customerOf(customer), logins }))
  },
})
