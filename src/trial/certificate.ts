// Self-made certificates for the trial and the demo: X.509 v3, ECDSA P-256, written as DER by hand because
// Node can read certificates but not make them, and `npm start` must work where no openssl is installed.
// Never used in production: a certificate there comes from a public authority. RFC 5280 §4.1.
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Random } from '../runtime/random.ts'

export interface CertificatePair {
  readonly certificatePem: string
  readonly keyPem: string
}

const DAY_MS = 86_400_000

/** One DER element. Lengths up to 65535 octets. X.690 §8.1. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents)
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const bool = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))
const octets = (content: Uint8Array): Buffer => der(0x04, content)

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))
const COMMON_NAME = '550403'
const SUBJECT_ALT_NAME = '551d11'
const BASIC_CONSTRAINTS = '551d13'
const KEY_USAGE = '551d0f'

const distinguishedName = (name: string): Buffer =>
  sequence(der(0x31, sequence(oid(COMMON_NAME), der(0x0c, Buffer.from(name, 'utf8')))))

/** UTCTime until 2049 (RFC 5280 §4.1.2.5.1). */
function utcTime(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${digits}Z`, 'latin1'))
}

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  critical ? sequence(oid(id), bool(true), octets(value)) : sequence(oid(id), octets(value))

const pem = (certificate: Buffer): string => {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/**
 * A self-signed certificate for `hostnames` (subject alternative names), valid from a day ago for `days`.
 * It can be trusted as its own root: `CA:TRUE` with digitalSignature and keyCertSign.
 */
export function makeSelfSigned(
  hostnames: readonly string[],
  options: { now: number; days: number; random: Random },
): CertificatePair {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const certificate = signCertificate(hostnames, keys.publicKey, createPrivateKey(keyPem), options)
  return { certificatePem: pem(certificate), keyPem }
}

function signCertificate(
  hostnames: readonly string[],
  publicKey: KeyObject,
  privateKey: KeyObject,
  { now, days, random }: { now: number; days: number; random: Random },
): Buffer {
  const name = distinguishedName(hostnames[0] ?? 'localhost')
  const serial = random.bytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const names = sequence(...hostnames.map((hostname) => der(0x82, Buffer.from(hostname, 'latin1'))))
  const extensions = sequence(
    extension(BASIC_CONSTRAINTS, true, sequence(bool(true))),
    extension(KEY_USAGE, true, der(0x03, Buffer.from([0x02, 0x84]))),
    extension(SUBJECT_ALT_NAME, false, names),
  )
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ECDSA_WITH_SHA256,
    name,
    sequence(utcTime(now - DAY_MS), utcTime(now + days * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  )
  const signature = sign('sha256', toBeSigned, { key: privateKey, dsaEncoding: 'der' })
  return sequence(toBeSigned, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature))
}
