// The shared store keeps the promises of the queue.
import { after, before, describe } from 'node:test'
import { openSharedStore } from '../store/postgres-store.ts'
import { requirePart } from '../support/parts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { queueContract } from './queue-contract.ts'

const postgres = requirePart('postgres')

describe('PostgreSQL', { skip: postgres.skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  queueContract('shared store', async (vault) =>
    openSharedStore({ server, url: await server.createDatabase(), deps: { vault } }),
  )
})
