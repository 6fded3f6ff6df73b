// The files of a site with the real programs, as far as they go without a container engine: unbound takes its
// configuration; three PostgreSQL servers run with theirs, are made as docs/cluster.md says, and fail over.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { silentLog } from '../../src/observability/log.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createIdSource } from '../../src/runtime/ids.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { openPostgresStore, type PostgresStore } from '../../src/store/postgres/open.ts'
import { parseStoreAddress } from '../../src/store/settings.ts'
import { sampleMeta, sampleRecipient } from '../contract/sample-message.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { eventually } from '../support/eventually.ts'
import { requirePart } from '../support/parts.ts'
import { freePort } from '../support/ports.ts'

const deploy = join(import.meta.dirname, '../../deploy')
const postgres = requirePart('postgres')
const unbound = requirePart('unbound')
const run = promisify(execFile)
const LIMIT_MS = 30_000

test('the resolver of a site: unbound takes its configuration', { skip: unbound.skip }, async (context) => {
  const checker = join(dirname(unbound.path), 'unbound-checkconf')
  const directory = await mkdtemp(join(tmpdir(), 'st-unbound-'))
  context.after(() => rm(directory, { recursive: true }))
  // The trust anchor comes with the package dns-root-data of the image.
  const text = await readFile(join(deploy, 'unbound/unbound.conf'), 'utf8')
  const anchor = '  trust-anchor-file: "/usr/share/dns/root.key"\n'
  assert.ok(text.includes(anchor))
  await writeFile(join(directory, 'unbound.conf'), text.replace(anchor, ''))
  const { stdout } = await run(checker, [join(directory, 'unbound.conf')])
  assert.match(stdout, /no errors in/)
})

interface Server {
  readonly name: string
  readonly port: number
  readonly home: string
  start(): Promise<void>
  kill(): Promise<void>
  sql(text: string): Promise<string>
  /** The last of what it said. */
  log(): string
}

describe('the databases of a cluster', { skip: postgres.skip, timeout: 6 * LIMIT_MS }, () => {
  const programs = dirname(postgres.path)
  let root = ''
  let user: { uid: number; gid: number } | undefined
  const servers: Server[] = []
  const stores: PostgresStore[] = []

  /** A program of PostgreSQL, as the user that owns the data. */
  const program = (name: string, args: readonly string[], env = {}): Promise<{ stdout: string }> =>
    run(join(programs, name), args, { ...user, cwd: tmpdir(), env: { ...process.env, HOME: root, ...env } })

  const createServer = async (name: string): Promise<Server> => {
    const home = join(root, name)
    const port = await freePort()
    // The same file as in the container; only what is bound to its file system is given anew.
    const settings = [
      `config_file=${join(root, 'postgresql.conf')}`,
      `hba_file=${join(root, 'pg_hba.conf')}`,
      `data_directory=${join(home, 'data')}`,
      `unix_socket_directories=${home}`,
      `port=${port}`,
      `cluster_name=${name}`,
      'shared_buffers=32MB',
      ...['cert_file=server.crt', 'key_file=server.key', 'ca_file=ca.crt'].map((setting) => {
        const [key, file] = setting.split('=')
        return `ssl_${key}=${join(root, file ?? '')}`
      }),
    ]
    let child: ChildProcess | null = null
    let log = ''
    const server: Server = {
      name,
      port,
      home,
      async start() {
        child = spawn(
          join(programs, 'postgres'),
          settings.flatMap((setting) => ['-c', setting]),
          {
            ...user,
            cwd: home,
            stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, HOME: home, PGDATA: join(home, 'data') },
          },
        )
        child.stderr?.on('data', (chunk) => {
          log = (log + chunk).slice(-4000)
        })
        await eventually(
          name,
          LIMIT_MS,
          () =>
            program('pg_isready', ['-q', '-h', home, '-p', String(port)]).then(
              () => true as const,
              () => null,
            ),
          () => log,
        )
      },
      log: () => log,
      async kill() {
        if (child === null || child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        // SIGQUIT: at once, without writing anything down, its backends too.
        child.kill('SIGQUIT')
        await ended
      },
      async sql(text) {
        const args = ['-X', '-q', '-A', '-t', '-h', home, '-p', String(port), '-U', 'postgres', '-c', text]
        return (await program('psql', args)).stdout.trim()
      },
    }
    await mkdir(home)
    if (user) await chown(home, user.uid, user.gid)
    servers.push(server)
    return server
  }
  const own = async (file: string, text: string, mode = 0o600): Promise<void> => {
    await writeFile(join(root, file), text, { mode })
    if (user) await chown(join(root, file), user.uid, user.gid)
  }
  const becomeStandby = async (server: Server, primary: Server): Promise<void> => {
    const source = `host=localhost port=${primary.port} user=replicator sslmode=verify-full sslrootcert=${join(root, 'ca.crt')}`
    const args = ['-d', source, '-D', join(server.home, 'data'), '-R', '-X', 'stream', '-c', 'fast']
    await program('pg_basebackup', args, { PGPASSWORD: 'replicationsecret' })
    await server.start()
  }
  const copies = (server: Server): Promise<string> =>
    server.sql(
      "SELECT string_agg(application_name || ' ' || sync_state, ',' ORDER BY application_name) FROM pg_stat_replication",
    )

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'st-site-'))
    await chmod(root, 0o755)
    if (process.getuid?.() === 0) {
      const [, , uid, gid] =
        /^postgres:.*$/m.exec(await readFile('/etc/passwd', 'utf8'))?.[0].split(':') ?? []
      user = { uid: Number(uid), gid: Number(gid) }
    }
    const authority = createCertificateAuthority()
    const { certificate, key } = authority.issue(['localhost'])
    for (const name of ['postgresql.conf', 'pg_hba.conf']) {
      await own(name, await readFile(join(deploy, 'postgres', name), 'utf8'))
    }
    await own('server.crt', certificate)
    await own('server.key', key)
    await own('ca.crt', authority.certificate, 0o644)
  })
  after(async () => {
    for (const store of stores) await store.stop()
    for (const server of servers) await server.kill()
    await rm(root, { recursive: true, force: true })
  })

  test('O1: no mail is taken without a second copy; each of three servers may fail, and what was taken is there', async () => {
    const [db1, db2, db3] = [await createServer('db1'), await createServer('db2'), await createServer('db3')]
    const places = [db1, db2, db3].map(({ port }) => `localhost:${port}`).join(',')
    const url = `postgres://gateway:gatewaysecret@${places}/secure_transport?sslmode=verify-full&sslrootcert=${join(root, 'ca.crt')}`
    await program('initdb', [
      '-D',
      join(db1.home, 'data'),
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--data-checksums',
    ])
    await db1.start()
    await own('store-url', `${url}\n`)
    await own('replication-password', 'replicationsecret\n')
    const script = await readFile(join(deploy, 'postgres/init/10-gateway.sh'), 'utf8')
    await own('init.sh', script.replaceAll('/run/secrets', root), 0o755)
    const environment = {
      PGHOST: db1.home,
      PGPORT: String(db1.port),
      PATH: `${programs}:${process.env['PATH']}`,
    }
    await run('sh', [join(root, 'init.sh')], { ...user, cwd: root, env: environment })
    await becomeStandby(db2, db1)

    // A gateway takes mail as soon as a second server has what it writes.
    const address = parseStoreAddress(url)
    assert.ok(address?.kind === 'postgres')
    const store = await openPostgresStore(
      { clock: systemClock, random: systemRandom, log: silentLog },
      {
        address,
        memoryBudget: 0,
        cluster: {
          nodeName: 'mx1',
          heartbeat: 500,
          fenceAfter: 2000,
          deadAfter: 4000,
          requireSynchronousStandby: true,
        },
      },
    )
    stores.push(store)
    await store.queue.start()
    const accepting = (wanted: boolean) =>
      eventually(`accepting: ${wanted}`, LIMIT_MS, () =>
        store.queue.health().accepting === wanted ? true : null,
      )
    const newId = createIdSource(systemClock, systemRandom)
    const taken: string[] = []
    const take = async (): Promise<void> => {
      const id = newId()
      const body = await store.queue.beginBody(id).finish()
      const meta = sampleMeta(id, systemClock.now(), body.sizeBytes)
      await store.queue.enqueue({ meta, recipients: [sampleRecipient('a@example.org')], body }, [], {
        lease: false,
      })
      taken.push(id)
    }
    const inQueue = async (): Promise<string[]> =>
      (await store.queue.list({ limit: 100 })).map(({ messageId }) => messageId)

    await accepting(true)
    assert.equal(await copies(db1), 'db2 quorum')
    await take()

    // The only standby fails: nothing more is taken, until there is one again.
    await db2.kill()
    await accepting(false)
    await becomeStandby(db3, db1)
    await accepting(true)
    await take()
    await db2.start()
    await eventually(
      'both copies',
      LIMIT_MS,
      async () => ((await copies(db1)) === 'db2 quorum,db3 quorum' ? true : null),
      async () => `${await copies(db1)}\n${db2.log()}`,
    )

    // The primary fails: the standby that has more is promoted, the other one follows it.
    await db1.kill()
    await accepting(false)
    const received = async (server: Server): Promise<bigint> =>
      BigInt(await server.sql("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint"))
    const [first, second] = (await received(db2)) >= (await received(db3)) ? [db2, db3] : [db3, db2]
    await first.sql('SELECT pg_promote(true, 30)')
    assert.equal(store.queue.health().accepting, false, 'alone it promises nothing')
    const source = `host=localhost port=${first.port} user=replicator password=replicationsecret sslmode=verify-full sslrootcert=${join(root, 'ca.crt')}`
    await second.sql(`ALTER SYSTEM SET primary_conninfo = '${source}'`)
    await second.sql('SELECT pg_reload_conf()')
    await accepting(true)
    // The standby's connection is made anew after the reload: for a moment it catches up as `async`.
    await eventually('the copy counts', LIMIT_MS, async () =>
      (await copies(first)) === `${second.name} quorum` ? true : null,
    )
    assert.deepEqual(await inQueue(), taken)
    await take()
    assert.deepEqual(await inQueue(), taken)
  })
})
