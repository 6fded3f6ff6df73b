// One private Postfix instance: own configuration, queue, data, log and ports in a directory of its own, so that
// several run beside each other and beside the system's. Needs root and the `postfix` package. What the instance
// is for (recipient's MX, customer's relayhost client) is decided in postfix-recipient.ts and
// postfix-relayhost.ts; the benchmark uses this file with its own tuning. Uses no DNS.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { freePort } from './ports.ts'

const run = promisify(execFile)
const MASTER = '/usr/lib/postfix/sbin/master'
const START_LIMIT_MS = 20_000
const STOP_LIMIT_MS = 20_000
const COMMAND_LIMIT_MS = 30_000

export interface PostfixSettings {
  /** `myhostname`: what it says in its greeting, its EHLO and its trace fields. */
  readonly hostname: string
  /** Where its SMTP server listens; default 127.0.0.1 and a free port. */
  readonly listen?: { readonly address?: string; readonly port?: number }
  /** Where the instance makes its directory; all users must be able to pass through. Default the temporary one. */
  readonly directory?: string
  /** Added to main.cf, above the harness's own values. */
  readonly mainCf?: Readonly<Record<string, string>>
  /** Whole lines added to master.cf; a service given here replaces the harness's service of that name and type. */
  readonly masterCf?: readonly string[]
  /** Files to be put into the configuration directory before the start: name → text. Readable by root only. */
  readonly files?: Readonly<Record<string, string>>
}

export interface Postfix {
  readonly address: string
  readonly port: number
  /** All of the instance; `conf/`, `queue/`, `data/`, `mail/` and `maillog` are below it. */
  readonly directory: string
  readonly configDirectory: string
  /** Process id of `master`; all other processes of the instance descend from it. */
  readonly pid: number
  /** The whole log so far. */
  log(): Promise<string>
  /** Waits until a line of the log matches, and returns the match. */
  waitForLog(pattern: RegExp, limitMs?: number): Promise<RegExpExecArray>
  /** Runs a Postfix command for this instance, such as `postqueue -j`; returns what it prints. */
  command(name: string, args: readonly string[], input?: string | Uint8Array): Promise<string>
  /** Number of messages in its queue: 0 means that all it accepted has left or bounced. */
  queueLength(): Promise<number>
  /** Ends the instance and waits for it; removes its directory unless `keep`. Twice does no harm. */
  stop(options?: { keep?: boolean }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const QUEUE_DIRECTORIES = [
  ...['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming'],
  ...['private', 'saved', 'trace'],
]

const SERVICES = [
  'pickup    unix  n - n 60 1 pickup',
  'cleanup   unix  n - n - 0 cleanup',
  'qmgr      unix  n - n 300 1 qmgr',
  'tlsmgr    unix  - - n 1000? 1 tlsmgr',
  'rewrite   unix  - - n - - trivial-rewrite',
  'bounce    unix  - - n - 0 bounce',
  'defer     unix  - - n - 0 bounce',
  'trace     unix  - - n - 0 bounce',
  'flush     unix  n - n 1000? 0 flush',
  'proxymap  unix  - - n - - proxymap',
  'proxywrite unix - - n - 1 proxymap',
  'smtp      unix  - - n - - smtp',
  'relay     unix  - - n - - smtp',
  'showq     unix  n - n - - showq',
  'error     unix  - - n - - error',
  'retry     unix  - - n - - error',
  'discard   unix  - - n - - discard',
  'virtual   unix  - n n - - virtual',
  'anvil     unix  - - n - 1 anvil',
  'scache    unix  - - n - 1 scache',
  'tlsproxy  unix  - - n - 0 tlsproxy',
  'postlog   unix-dgram n - n - 1 postlogd',
]

/** Starts an instance and waits until its SMTP server greets. The caller stops it. */
export async function startPostfix(settings: PostfixSettings): Promise<Postfix> {
  const address = settings.listen?.address ?? '127.0.0.1'
  const port = settings.listen?.port ?? (await freePort(address))
  const directory = await mkdtemp(join(settings.directory ?? tmpdir(), 'postfix-'))
  const configDirectory = join(directory, 'conf')
  await makeDirectories(directory)
  const files = {
    'main.cf': mainCf(settings, directory),
    'master.cf': masterCf(settings, address, port),
    ...settings.files,
  }
  for (const [name, text] of Object.entries(files)) await writeAged(join(configDirectory, name), text)
  const master = spawn(MASTER, ['-c', configDirectory, '-s'], { stdio: ['ignore', 'ignore', 'pipe'] })
  master.on('error', () => undefined) // without a process there is no pid, which is looked at here
  const pid = master.pid
  if (pid === undefined) throw new Error(`cannot start ${MASTER}: is the package postfix installed?`)
  const guard = guardAgainstOrphans(pid)
  let complaints = ''
  master.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4000)
  })
  const log = (): Promise<string> => readFile(join(directory, 'maillog'), 'utf8').catch(() => '')
  const explain = async (): Promise<string> => `${complaints}\n${(await log()).slice(-4000)}`
  const command: Postfix['command'] = (name, args, input) => runCommand(configDirectory, name, args, input)
  let stopped = false
  const stop: Postfix['stop'] = async (options = {}) => {
    guard.kill('SIGKILL')
    if (!stopped) await end(master)
    stopped = true
    if (!options.keep) await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await eventually(
      `Postfix ${settings.hostname} greets on ${address}:${port}`,
      START_LIMIT_MS,
      async () => {
        if (master.exitCode !== null) throw new Error(`Postfix ended at once:\n${await explain()}`)
        return (await greets(address, port)) ? true : null
      },
      explain,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    address,
    port,
    directory,
    configDirectory,
    pid,
    log,
    waitForLog: (pattern, limitMs = 30_000) =>
      eventually(`log line ${pattern}`, limitMs, async () => pattern.exec(await log()), explain),
    command,
    queueLength: async () =>
      (await command('postqueue', ['-j'])).split('\n').filter((line) => line !== '').length,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Layout and owners that `postfix check` would make; doing it here saves two seconds for each instance. */
async function makeDirectories(directory: string): Promise<void> {
  const uid = await idOf('passwd', 'postfix')
  const gid = await idOf('group', 'postdrop')
  const make = async (path: string, mode: number, owner: number, group: number): Promise<void> => {
    await mkdir(join(directory, path))
    await chmod(join(directory, path), mode)
    await chown(join(directory, path), owner, group)
  }
  await chmod(directory, 0o755)
  for (const path of ['conf', 'queue', 'queue/pid']) await make(path, 0o755, 0, 0)
  await make('data', 0o700, uid, 0)
  await make('mail', 0o755, MAIL_UID, MAIL_UID)
  for (const path of QUEUE_DIRECTORIES) await make(`queue/${path}`, 0o700, uid, 0)
  await make('queue/maildrop', 0o730, uid, gid)
  await make('queue/public', 0o710, uid, gid)
}

/** Postfix waits 1.5 s before it reads a file that has just been written: date it back. Root may read it. */
async function writeAged(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: path.endsWith('.cf') ? 0o644 : 0o600 })
  await utimes(path, 0, 0)
}

/** Owner of delivered mail: any that is not privileged and owns nothing else in the instance. */
export const MAIL_UID = 65_534

/** The number of a user or group, from whatever database the system keeps it in. */
async function idOf(database: 'passwd' | 'group', name: string): Promise<number> {
  const { stdout } = await run('getent', [database, name], { timeout: COMMAND_LIMIT_MS })
  return Number(stdout.split(':')[2])
}

function mainCf(settings: PostfixSettings, directory: string): string {
  const values: Record<string, string> = {
    compatibility_level: '3.7',
    queue_directory: join(directory, 'queue'),
    data_directory: join(directory, 'data'),
    mail_spool_directory: join(directory, 'mail'),
    maillog_file: join(directory, 'maillog'),
    maillog_file_prefixes: directory,
    myhostname: settings.hostname,
    myorigin: settings.hostname,
    mydestination: '',
    // Only addresses that an interface has may stand here; master.cf names the one to listen on.
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    // Nothing here may ask a DNS server: names come from /etc/hosts or are literals.
    smtpd_peername_lookup: 'no',
    smtp_host_lookup: 'native',
    smtp_dns_support_level: 'disabled',
    alias_maps: '',
    local_recipient_maps: '',
    biff: 'no',
    message_size_limit: '104857600',
    mailbox_size_limit: '0',
    virtual_mailbox_limit: '0',
    smtpd_client_connection_rate_limit: '0',
    ...settings.mainCf,
  }
  return Object.entries(values)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')
}

function masterCf(settings: PostfixSettings, address: string, port: number): string {
  const own = settings.masterCf ?? []
  const identity = (line: string): string => line.split(/\s+/).slice(0, 2).join(' ')
  const replaced = new Set(own.map(identity))
  const services = [`${address}:${port} inet n - n - - smtpd`, ...SERVICES]
  return `${[...services.filter((line) => !replaced.has(identity(line))), ...own].join('\n')}\n`
}

/** One connection: greeted with 220 or not. */
function greets(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    socket.setTimeout(2000, () => socket.destroy())
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString('latin1').startsWith('220'))
      socket.end('QUIT\r\n')
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}

/**
 * A shell that ends the master when this process has ended without doing so, however that happened: it waits for
 * the end of its input, which we hold open and never write to. (Asking the kernel by PR_SET_PDEATHSIG does not
 * work: the master's changes of user cancel it.)
 */
function guardAgainstOrphans(pid: number): ChildProcess {
  const script = 'trap "" INT HUP TERM; read -r line; kill -TERM "$1"'
  const guard = spawn('sh', ['-c', script, 'guard', String(pid)], { stdio: ['pipe', 'ignore', 'ignore'] })
  guard.on('error', () => undefined)
  guard.unref()
  return guard
}

/** SIGTERM to the master that we started, which ends its children; SIGKILL when it does not end in time. */
async function end(master: ChildProcess): Promise<void> {
  if (master.exitCode !== null || master.signalCode !== null) return
  const ended = once(master, 'exit')
  master.kill('SIGTERM')
  const force = setTimeout(() => master.kill('SIGKILL'), STOP_LIMIT_MS)
  await ended
  clearTimeout(force)
}

function runCommand(
  configDirectory: string,
  name: string,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      `/usr/sbin/${name}`,
      name === 'sendmail' ? ['-C', configDirectory, ...args] : ['-c', configDirectory, ...args],
      { timeout: COMMAND_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${name}: ${stderr || error.message}`)) : resolve(stdout),
    )
    child.stdin?.on('error', () => undefined) // a command that ended early is reported by its exit status
    child.stdin?.end(input)
  })
}
