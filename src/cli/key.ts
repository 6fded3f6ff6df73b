// `key …`: master keys of the encryption at rest (A4). Keys are made here and never read back: what is printed is
// for a file, and `key status` shows names and counts only.
import { systemRandom } from '../runtime/random.ts'
import type { Command } from './command.ts'
import { withOperations } from './configuration.ts'
import { EXIT } from './exit-code.ts'
import { printJson, tableText } from './output.ts'

const KEY_OCTETS = 32

/**
 * `current`: new mail is encrypted with it. `old`: still needed while it counts messages. `missing`: needed and
 * not in the configuration. `none`: messages that are not encrypted.
 */
type KeyState = 'current' | 'old' | 'missing' | 'none'

export const keyStatus: Command = {
  words: ['key', 'status'],
  summary: 'count the messages that each master key is needed for',
  positionals: [],
  options: [],
  examples: ['key status', 'key status --json'],
  run(call) {
    return withOperations(call, async ({ queue }, { encryption }) => {
      const configured = encryption.masterKeys.map(({ id }) => id)
      const usage = new Map((await queue.masterKeyUsage()).map(({ id, messages }) => [id, messages]))
      const stateOf = (id: string): KeyState => {
        if (id === '') return 'none'
        const position = configured.indexOf(id)
        return position < 0 ? 'missing' : position === 0 ? 'current' : 'old'
      }
      const keys = [...new Set([...configured, ...usage.keys()])]
        .map((id) => ({ id, state: stateOf(id), messages: usage.get(id) ?? 0 }))
        .filter(({ state, messages }) => messages > 0 || (state !== 'none' && state !== 'missing'))
      if (call.has('json')) printJson(call.terminal, keys)
      else if (keys.length === 0)
        call.terminal.out('there is no master key: mail in the queue is not encrypted')
      else {
        const rows = keys.map(({ id, state, messages }) => [id || '(not encrypted)', state, String(messages)])
        call.terminal.out(tableText(['KEY', 'STATE', 'MESSAGES'], rows))
      }
      const missing = keys.filter(({ state }) => state === 'missing').map(({ id }) => id)
      if (missing.length > 0) {
        call.terminal.err(
          `messages cannot be read without ${missing.join(', ')}: put it back into encryption.masterKeys`,
        )
      }
      return missing.length === 0 ? EXIT.ok : EXIT.failed
    })
  },
}

export const keyGenerate: Command = {
  words: ['key', 'generate'],
  summary: 'make a new master key and print it, for a file outside of the data directory',
  positionals: [],
  options: [],
  examples: ['key generate > /etc/secure-transport/keys/2026-11'],
  async run(call) {
    const key = systemRandom.bytes(KEY_OCTETS).toString('base64')
    if (call.has('json')) printJson(call.terminal, { key })
    else call.terminal.out(key)
    call.terminal.err('keep a copy in a safe place: without the key the mail in the queue is lost')
    return EXIT.ok
  },
}
