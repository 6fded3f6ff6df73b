// The real parts that tests need beside Node, and the Debian packages that bring them. `test/run.ts` installs
// the packages; a test asks for its part by name with `requirePart` (parts.ts). One list, so that a part that
// a test can ask for is always one that the runner can bring.

/** A program that tests run: where Debian puts it, what brings it, whether it works only as root. */
export interface Part {
  readonly binary: string
  readonly packages: readonly string[]
  readonly needsRoot: boolean
}

/** Every part by the name that tests use. Postfix needs root: its daemons change users. */
export const parts = {
  postfix: { binary: '/usr/sbin/postfix', packages: ['postfix', 'libsasl2-modules'], needsRoot: true },
  clamd: { binary: '/usr/sbin/clamd', packages: ['clamav-daemon'], needsRoot: false },
  swaks: { binary: '/usr/bin/swaks', packages: ['swaks'], needsRoot: false },
  unbound: { binary: '/usr/sbin/unbound', packages: ['unbound'], needsRoot: false },
  openssl: { binary: '/usr/bin/openssl', packages: ['openssl'], needsRoot: false },
  curl: { binary: '/usr/bin/curl', packages: ['curl'], needsRoot: false },
  postgres: {
    binary: '/usr/lib/postgresql/15/bin/postgres',
    packages: ['postgresql-15'],
    needsRoot: false,
  },
  ss: { binary: '/usr/bin/ss', packages: ['iproute2'], needsRoot: false },
} as const satisfies Record<string, Part>

export type PartName = keyof typeof parts

/** All packages of all parts, each once. */
export function debianPackages(): string[] {
  return [...new Set(Object.values(parts).flatMap((part) => [...part.packages]))]
}
