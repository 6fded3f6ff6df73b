// Brings the Debian packages that tests need. Only `test/run.ts` calls it, only as root on Debian; it installs,
// and neither starts nor stops a service: tests run private instances of everything.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { debianPackages } from './packages.ts'

const APT_LIMIT_MS = 15 * 60_000
const LISTS = '/var/lib/apt/lists'

/** Whether packages can be installed here: root on Debian or a system made from it. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
}

/** Those of the packages that are not installed. */
export function missingPackages(): string[] {
  return debianPackages().filter((name) => {
    const query = spawnSync('dpkg', ['-s', name], { encoding: 'utf8' })
    return !/^Status: install ok installed$/m.test(query.stdout)
  })
}

/** Installs `names`; refreshes the package lists when there are none or when they are too old to serve. */
export function installPackages(names: readonly string[]): boolean {
  const install = ['install', '-y', '--no-install-recommends', ...names]
  const fresh = hasLists()
  if (!fresh && !apt(['update'])) return false
  return apt(install) || (fresh && apt(['update']) && apt(install))
}

function hasLists(): boolean {
  return existsSync(LISTS) && readdirSync(LISTS).some((file) => file.includes('_Packages'))
}

function apt(args: readonly string[]): boolean {
  const run = spawnSync('apt-get', ['-q', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: APT_LIMIT_MS,
    // In runlevel 1 the packages' scripts start no service where there is no systemd.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  })
  return run.status === 0
}
