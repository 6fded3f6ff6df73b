// A4: what is sealed comes out only whole, unchanged, in order, and for the message it was sealed for.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { clearVault } from '../../src/queue/clear-vault.ts'
import { createVault } from '../../src/queue/sealing.ts'
import type { BodyPipe, MessageKey } from '../../src/queue/vault.ts'
import { type Random, systemRandom } from '../../src/runtime/random.ts'
import { testMasterKey, testVault } from '../support/test-vault.ts'

const ID = '01ke6p4ym0qrbdq7tr'
const CHUNK = 256 * 1024
const TAG = 16
const UNREADABLE = { code: 'spool-unreadable' }

/** Everything through `pipe`, in pieces of these sizes, over and over. */
function through(
  pipe: BodyPipe,
  octets: Uint8Array,
  sizes: readonly number[] = [octets.length || 1],
): Buffer {
  const out: Uint8Array[] = []
  for (let from = 0, turn = 0; from < octets.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    out.push(...pipe.write(octets.subarray(from, from + size)))
    from += size
  }
  return Buffer.concat([...out, ...pipe.end()])
}
/** The same key as a later run finds it. */
const stored = ({ masterKeyId, wrapped }: MessageKey): MessageKey =>
  testVault(['two', 'one']).openKey(ID, masterKeyId, wrapped)
const flipBit = (octets: Uint8Array, bit: number): Buffer => {
  const copy = Buffer.from(octets)
  const at = (bit >> 3) % copy.length
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (bit & 7)), at)
  return copy
}

describe('small things', () => {
  it('A4: come back as they were, and are sealed anew each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.string(), (plain, label) => {
        const key = testVault().createKey(ID)
        const sealed = [key.seal(label, plain), key.seal(label, plain)]
        assert.notDeepEqual(sealed[0], sealed[1])
        for (const one of sealed) assert.deepEqual(stored(key).open(label, one), Buffer.from(plain))
      }),
      { numRuns: 100 },
    )
  })

  it('A4: one bit, a missing octet, another label, another message: nothing comes out', () => {
    const key = testVault().createKey(ID)
    const sealed = key.seal('state 3', Buffer.from('what the next hop said'))
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      assert.throws(() => key.open('state 3', flipBit(sealed, bit)), UNREADABLE)
    }
    for (let length = 0; length < sealed.length; length++) {
      assert.throws(() => key.open('state 3', sealed.subarray(0, length)), UNREADABLE)
    }
    assert.throws(() => key.open('state 4', sealed), UNREADABLE)
    assert.throws(() => testVault().createKey(ID).open('state 3', sealed), UNREADABLE)
    assert.equal(key.open('state 3', sealed).toString(), 'what the next hop said')
  })
})

describe('message keys', () => {
  it('A4: are wrapped for one message and one master key; one bit, another id, and they do not open', () => {
    const vault = testVault(['one', 'two'])
    const { wrapped, masterKeyId } = vault.createKey(ID)
    assert.equal(masterKeyId, 'one')
    for (let bit = 0; bit < wrapped.length * 8; bit++) {
      assert.throws(() => vault.openKey(ID, 'one', flipBit(wrapped, bit)), UNREADABLE)
    }
    assert.throws(() => vault.openKey(ID, 'one', wrapped.subarray(1)), UNREADABLE)
    assert.throws(() => vault.openKey(ID.replace('0', '1'), 'one', wrapped), UNREADABLE)
    assert.throws(() => vault.openKey(ID, 'two', wrapped), UNREADABLE)
    assert.throws(() => vault.openKey(ID, 'gone', wrapped), {
      ...UNREADABLE,
      message: 'the master key gone is not at hand',
    })
  })

  it('A4: move to a new master key, and everything that they sealed stays as it is', () => {
    const old = testVault(['one']).createKey(ID)
    const sealed = old.seal('envelope', Buffer.from('x'))
    const body = through(old.sealBody(), Buffer.from('body'))
    const moved = testVault(['two', 'one']).rewrap(ID, old.masterKeyId, old.wrapped)
    assert.equal(moved.masterKeyId, 'two')
    const found = testVault(['two']).openKey(ID, 'two', moved.wrapped)
    assert.equal(found.open('envelope', sealed).toString(), 'x')
    assert.equal(through(found.openBody(), body).toString(), 'body')
  })

  it('A4: show themselves nowhere', () => {
    const drawn: Buffer[] = []
    const random: Random = {
      ...systemRandom,
      bytes: (length) => {
        const octets = randomBytes(length)
        drawn.push(octets)
        return octets
      },
    }
    const masterKey = testMasterKey('one')
    const vault = createVault({ masterKeys: [masterKey], acceptUnencrypted: true }, random)
    const key = vault.createKey(ID)
    const secrets = [masterKey.key.export(), ...drawn.filter(({ length }) => length === 32)]
    assert.equal(secrets.length, 2)
    const shown =
      inspect([vault, key, masterKey], { depth: 20, showHidden: true }) +
      JSON.stringify([vault, key, masterKey])
    for (const secret of secrets) {
      for (const encoding of ['hex', 'base64'] as const) {
        assert.equal(shown.includes(secret.toString(encoding).slice(0, 16)), false)
      }
      assert.equal(shown.includes(inspect(secret).slice(8, 40)), false)
    }
  })
})

describe('bodies', () => {
  const sizes = [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5]

  it('A4: of any size, in any pieces, come back octet for octet', () => {
    for (const size of sizes) {
      const plain = randomBytes(size)
      const key = testVault().createKey(ID)
      const sealed = through(key.sealBody(), plain, [65_536, 1, 300_000])
      assert.equal(sealed.length, size + TAG * Math.max(1, Math.ceil(size / CHUNK)))
      for (const pieces of [[sealed.length], [65_536], [CHUNK + TAG], [1000, 1, 400_000]]) {
        assert.ok(through(stored(key).openBody(), sealed, pieces).equals(plain), `${size} in ${pieces}`)
      }
    }
  })

  it('A4: cut short, cut in the middle, in another order, repeated or grown: never whole', () => {
    const key = testVault().createKey(ID)
    const sealed = through(key.sealBody(), randomBytes(3 * CHUNK + 5))
    const unit = CHUNK + TAG
    const chunks = [0, 1, 2, 3].map((number) => sealed.subarray(number * unit, (number + 1) * unit))
    const [a, b, c, last] = chunks
    assert.ok(a && b && c && last)
    const wrong: Record<string, Uint8Array[]> = {
      'nothing at all': [],
      'one octet less': [sealed.subarray(0, -1)],
      'without its last chunk': [a, b, c],
      'without one in the middle': [a, c, last],
      'without the first': [b, c, last],
      'two exchanged': [b, a, c, last],
      'one repeated': [a, a, b, c, last],
      'grown by an octet': [sealed, Buffer.of(0)],
      twice: [sealed, sealed],
      'its last chunk alone': [last],
      'fifteen octets': [sealed.subarray(0, 15)],
    }
    for (const [name, parts] of Object.entries(wrong)) {
      assert.throws(() => through(key.openBody(), Buffer.concat(parts)), UNREADABLE, name)
    }
    for (const bit of [0, 7, 8 * CHUNK, 8 * (CHUNK + TAG) + 3, 8 * sealed.length - 1]) {
      assert.throws(() => through(key.openBody(), flipBit(sealed, bit)), UNREADABLE, `bit ${bit}`)
    }
    assert.throws(() => through(testVault().createKey(ID).openBody(), sealed), UNREADABLE)
  })

  it('A4: nothing of a chunk comes out before all of it was checked', () => {
    const key = testVault().createKey(ID)
    const sealed = through(key.sealBody(), randomBytes(2 * CHUNK))
    const pipe = key.openBody()
    assert.equal(Buffer.concat(pipe.write(sealed.subarray(0, CHUNK + TAG + 1))).length, CHUNK)
    assert.deepEqual(pipe.write(flipBit(sealed, 8 * (CHUNK + TAG + 1)).subarray(CHUNK + TAG + 1)), [])
    assert.throws(() => pipe.end(), UNREADABLE)
  })

  it('A4: are sealed once for each key, so that no nonce is used twice', () => {
    const vault = testVault()
    const key = vault.createKey(ID)
    key.sealBody()
    const INTERNAL = { code: 'internal' }
    assert.throws(() => key.sealBody(), INTERNAL)
    assert.throws(() => vault.openKey(ID, key.masterKeyId, key.wrapped).sealBody(), INTERNAL)
    assert.throws(() => vault.rewrap(ID, key.masterKeyId, key.wrapped).sealBody(), INTERNAL)
  })

  it('A4: nonces of bodies and of small things never meet', () => {
    const key = testVault().createKey(ID)
    for (let count = 0; count < 200; count++) {
      assert.equal((key.seal('x', Buffer.alloc(0))[0] ?? 0) & 0x80, 0x80)
    }
  })
})

describe('without a master key', () => {
  it('everything passes through, and what was encrypted before cannot be opened', () => {
    assert.equal(createVault({ masterKeys: [], acceptUnencrypted: true }, systemRandom), clearVault)
    const key = clearVault.createKey(ID)
    assert.deepEqual([key.masterKeyId, key.wrapped.length], ['', 0])
    assert.equal(Buffer.from(key.seal('x', Buffer.from('plain'))).toString(), 'plain')
    assert.equal(through(key.sealBody(), Buffer.from('plain')).toString(), 'plain')
    assert.throws(() => clearVault.openKey(ID, 'one', Buffer.alloc(61)), UNREADABLE)
  })

  it('A4: what lies unencrypted is opened by a vault with keys, unless it was told not to', () => {
    const nothing = new Uint8Array(0)
    assert.equal(
      testVault(['one'], true).openKey(ID, '', nothing).open('x', Buffer.from('plain')).toString(),
      'plain',
    )
    assert.equal(testVault(['one'], true).rewrap(ID, '', nothing).masterKeyId, '')
    assert.throws(() => testVault(['one'], false).openKey(ID, '', nothing), UNREADABLE)
  })
})
