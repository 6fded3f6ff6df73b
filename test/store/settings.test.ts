// The address of the store, as operators write it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseStoreAddress } from '../../src/store/settings.ts'

const base = { kind: 'postgres', user: 'relay', password: '', database: 'mail', authorityFile: null } as const
const at = (host: string, port = 5432) => ({ host, port })

const valid: [string, unknown][] = [
  ['sqlite:', { kind: 'sqlite' }],
  ['postgres://relay@localhost/mail', { ...base, hosts: [at('localhost')], tls: 'disable' }],
  ['postgresql://relay@127.0.0.1:6432/mail', { ...base, hosts: [at('127.0.0.1', 6432)], tls: 'disable' }],
  [
    'postgres://relay:p%40ss%2Fword@db1.example.org:5433,db2.example.org/mail',
    {
      ...base,
      password: 'p@ss/word',
      hosts: [at('db1.example.org', 5433), at('db2.example.org')],
      tls: 'verify-full',
    },
  ],
  [
    'postgres://relay@[2001:db8::1]:5432,[2001:db8::2]/mail?sslmode=require&sslrootcert=/etc/ca.pem',
    {
      ...base,
      hosts: [at('2001:db8::1'), at('2001:db8::2')],
      tls: 'require',
      authorityFile: '/etc/ca.pem',
    },
  ],
  [
    'postgres://relay@/mail?host=/run/postgresql',
    { ...base, hosts: [at('/run/postgresql')], tls: 'disable' },
  ],
  [
    'postgres://relay@db.example.org/mail?sslmode=disable',
    { ...base, hosts: [at('db.example.org')], tls: 'disable' },
  ],
]

const invalid = [
  '',
  'sqlite:/var/lib/mail.db',
  'mysql://relay@localhost/mail',
  'postgres://localhost/mail',
  'postgres://relay@localhost',
  'postgres://relay@localhost/',
  'postgres://relay@/mail',
  'postgres://relay@localhost:0/mail',
  'postgres://relay@localhost:65536/mail',
  'postgres://relay@a b/mail',
  'postgres://relay@one,,two/mail',
  'postgres://re%lay@localhost/mail',
  'postgres://relay@localhost/mail?sslmode=prefer',
  'postgres://relay@localhost/mail?target_session_attrs=any',
]

describe('address of the store', () => {
  for (const [url, address] of valid) {
    test(`O1: ${url}`, () => assert.deepEqual(parseStoreAddress(url), address))
  }
  for (const url of invalid) {
    test(`O1: refused: "${url}"`, () => assert.equal(parseStoreAddress(url), null))
  }
})
