// TLS of the submission listeners (product row S2, BSI TR-02102-2, RFC 9325). Node's defaults would accept
// RSA key exchange, CBC and client renegotiation (threats.md), so everything is named here.
import { constants, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { SecureContextOptions } from 'node:tls'
import { Fault } from '../runtime/fault.ts'
import { HYBRID_GROUPS, TLS_SUITES } from '../smtp/tls-suites.ts'
import type { CertificateSettings } from './settings.ts'

/** Reads the certificates (ECDSA and RSA may stand side by side) and makes the one set of TLS options. */
export async function readTlsOptions(
  certificates: readonly CertificateSettings[],
): Promise<SecureContextOptions> {
  const pairs = await Promise.all(
    certificates.map(async ({ chain, key }) => {
      const [chainPem, keyPem] = await Promise.all([readPem(chain), readPem(key)])
      assertMatch(chainPem, keyPem, chain, key)
      return { chainPem, keyPem }
    }),
  )
  return {
    cert: pairs.map((pair) => pair.chainPem),
    key: pairs.map((pair) => pair.keyPem),
    minVersion: 'TLSv1.2',
    ciphers: TLS_SUITES,
    ecdhCurve: HYBRID_GROUPS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Fault('configuration', `certificates: ${path} cannot be read`, { cause })
  }
}

function assertMatch(chainPem: string, keyPem: string, chain: string, key: string): void {
  let matches: boolean
  try {
    matches = new X509Certificate(chainPem).checkPrivateKey(createPrivateKey(keyPem))
  } catch (cause) {
    throw new Fault('configuration', `certificates: ${chain} or ${key} is not a usable PEM file`, { cause })
  }
  if (!matches) throw new Fault('configuration', `certificates: the key ${key} does not belong to ${chain}`)
}
