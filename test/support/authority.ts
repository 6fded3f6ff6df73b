// The test authority (certificate-authority.ts) as files: what daemons read are paths of PEM files.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCertificateAuthority } from './certificate-authority.ts'

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly chain: string
  readonly key: string
}

export interface Authority {
  /** PEM file with the root, to be trusted by clients. */
  readonly certificate: string
  /** A server certificate for these names (DNS names or IPv4 addresses), signed by the root. */
  issue(names: readonly [string, ...string[]]): Promise<CertificateFiles>
}

/** Makes a root of its own; all files stay in `directory`, which the caller removes. */
export async function createAuthority(directory: string): Promise<Authority> {
  const authority = createCertificateAuthority()
  const certificate = join(directory, 'authority.pem')
  await writeFile(certificate, authority.certificate)
  return {
    certificate,
    async issue(names) {
      const files = {
        chain: join(directory, `${names[0]}-chain.pem`),
        key: join(directory, `${names[0]}-key.pem`),
      }
      const issued = authority.issue(names)
      await writeFile(files.chain, issued.certificate)
      await writeFile(files.key, issued.key, { mode: 0o600 })
      return files
    },
  }
}
