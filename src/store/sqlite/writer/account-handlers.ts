// Customers and credentials in config.db. Each operation is one statement and so its own transaction.
import type { DatabaseSync } from 'node:sqlite'
import { integer, type Row, text } from './columns.ts'
import type { Handlers } from './handlers.ts'
import type { CustomerRow } from './protocol.ts'

type AccountHandlers = Pick<
  Handlers,
  | 'findCredential'
  | 'findCustomer'
  | 'listCustomers'
  | 'putCustomer'
  | 'putCredential'
  | 'removeCredential'
  | 'removeCustomer'
>

const customerOf = (row: Row): CustomerRow => ({
  name: text(row, 'name'),
  domains: text(row, 'domains'),
  addresses: text(row, 'addresses'),
  cleartextAllowed: integer(row, 'cleartext_allowed') !== 0,
  nullReversePathAllowed: integer(row, 'null_reverse_path_allowed') !== 0,
})

export function accountHandlers(config: DatabaseSync): AccountHandlers {
  const credential = config.prepare(
    `SELECT credential.login, credential.password_hash, customer.*
       FROM credential JOIN customer ON customer.name = credential.customer WHERE credential.login = ?`,
  )
  const customer = config.prepare('SELECT * FROM customer WHERE name = ?')
  const customers = config.prepare(
    `SELECT customer.*, coalesce(json_group_array(login ORDER BY login) FILTER (WHERE login IS NOT NULL), '[]')
              AS logins
       FROM customer LEFT JOIN credential ON credential.customer = customer.name
      GROUP BY customer.name ORDER BY customer.name`,
  )
  const putCustomer = config.prepare(
    `INSERT INTO customer VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET domains = excluded.domains,
       addresses = excluded.addresses, cleartext_allowed = excluded.cleartext_allowed,
       null_reverse_path_allowed = excluded.null_reverse_path_allowed`,
  )
  const putCredential = config.prepare(
    `INSERT INTO credential VALUES (?, ?, ?) ON CONFLICT (login) DO UPDATE SET customer = excluded.customer,
       password_hash = excluded.password_hash`,
  )
  const removeCredential = config.prepare('DELETE FROM credential WHERE login = ?')
  const removeCustomer = config.prepare('DELETE FROM customer WHERE name = ?')
  return {
    findCredential: ({ login }) => {
      const row = credential.get(login)
      if (row === undefined) return null
      const name = text(row, 'name')
      const passwordHash = text(row, 'password_hash')
      return {
        credential: { login: text(row, 'login'), customer: name, passwordHash },
        customer: customerOf(row),
      }
    },
    findCustomer: ({ name }) => {
      const row = customer.get(name)
      return row === undefined ? null : customerOf(row)
    },
    listCustomers: () =>
      customers.all().map((row) => ({ customer: customerOf(row), logins: JSON.parse(text(row, 'logins')) })),
    putCustomer: (row) => {
      const { name, domains, addresses } = row
      putCustomer.run(
        name,
        domains,
        addresses,
        Number(row.cleartextAllowed),
        Number(row.nullReversePathAllowed),
      )
      return null
    },
    putCredential: ({ login, customer: owner, passwordHash }) => {
      putCredential.run(login, owner, passwordHash)
      return null
    },
    removeCredential: ({ login }) => removeCredential.run(login).changes !== 0,
    removeCustomer: ({ name }) => removeCustomer.run(name).changes !== 0,
  }
}
