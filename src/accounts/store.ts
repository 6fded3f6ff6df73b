// The port of customers and credentials. Writes are durable when they resolve.
import type { Credential, Customer } from './account.ts'

export interface AccountStore {
  /** `null` when there is none of that login (compared in lower case). */
  findCredential(login: string): Promise<{ credential: Credential; customer: Customer } | null>
  /** Creates the customer or replaces its licences and settings. */
  putCustomer(customer: Customer): Promise<void>
  putCredential(credential: Credential): Promise<void>
  removeCredential(login: string): Promise<boolean>
  removeCustomer(name: string): Promise<boolean>
  findCustomer(name: string): Promise<Customer | null>
  listCustomers(): Promise<{ customer: Customer; logins: string[] }[]>
}
