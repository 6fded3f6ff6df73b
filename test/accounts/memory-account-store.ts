// The account port in memory, for tests of rooms that use it.
import type { Credential, Customer } from '../../src/accounts/account.ts'
import type { AccountStore } from '../../src/accounts/store.ts'

export function createMemoryAccountStore(): AccountStore & { lookups: number } {
  const customers = new Map<string, Customer>()
  const credentials = new Map<string, Credential>()
  return {
    lookups: 0,
    async findCredential(login) {
      this.lookups++
      const credential = credentials.get(login.toLowerCase())
      const customer = credential && customers.get(credential.customer)
      return credential && customer ? { credential, customer } : null
    },
    async putCustomer(customer) {
      customers.set(customer.name, customer)
    },
    async putCredential(credential) {
      credentials.set(credential.login.toLowerCase(), credential)
    },
    removeCredential: async (login) => credentials.delete(login.toLowerCase()),
    async removeCustomer(name) {
      for (const [login, { customer }] of credentials) if (customer === name) credentials.delete(login)
      return customers.delete(name)
    },
    findCustomer: async (name) => customers.get(name) ?? null,
    listCustomers: async () =>
      [...customers.values()].map((customer) => ({
        customer,
        logins: [...credentials.values()]
          .filter((credential) => credential.customer === customer.name)
          .map((credential) => credential.login),
      })),
  }
}
