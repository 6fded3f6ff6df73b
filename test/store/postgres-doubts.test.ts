// A moment that no real server can be made to hit: a message is refused while the node looks for deliveries that
// are its own but not in hand.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDoubts, GIVE_BACK, OWNED } from '../../src/store/postgres/cluster/doubts.ts'
import { createLedger } from '../../src/store/postgres/cluster/ledger.ts'
import type { Connection } from '../../src/store/postgres/session/connection.ts'

test('O1: a message that was just answered with 451 is not given back to be delivered', async () => {
  const givenBack: unknown[] = []
  const doubts = createDoubts(createLedger(), () => undefined)
  const row = (id: string) => ({ message_id: id, position: 0, token: 1 })
  const connection: Connection = {
    place: 'db',
    pid: 1,
    label: 'own',
    isOpen: true,
    async query(statement, values = []) {
      if (statement === OWNED) doubts.note('broken', ['refused'])
      if (statement === GIVE_BACK) givenBack.push(...JSON.parse(String(values[0])))
      return { rows: statement === OWNED ? [row('refused'), row('lost')] : [], count: 0 }
    },
    transaction: async () => [],
    onGone: () => undefined,
    onNotification: () => undefined,
    destroy: () => undefined,
  }
  doubts.noteUnheld()
  await doubts.resolve(connection, 1, 0)
  assert.deepEqual(givenBack, [row('lost')])
})
