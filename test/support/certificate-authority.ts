// Certificates for tests, made in memory: a root and leaf certificates, ECDSA P-256, without any program.
// Writes just the DER that X.509 needs (RFC 5280 §4.1) with node:crypto for keys and signatures.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface IssuedCertificate {
  /** PEM of the leaf. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly key: string
}

export interface CertificateAuthority {
  /** PEM of the root, to be trusted by clients. */
  readonly certificate: string
  /**
   * A server certificate for `names` (DNS names, or IPv4 addresses).
   * @param validity epoch ms; by default from yesterday for ten days
   */
  issue(names: readonly string[], validity?: { from: number; until: number }): IssuedCertificate
}

const DAY_MS = 86_400_000

/** A new root with its own key. Two calls make two authorities that do not trust each other. */
export function createCertificateAuthority(
  commonName = 'secureTransport test authority',
): CertificateAuthority {
  const root = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = Date.now()
  const validity = { from: now - DAY_MS, until: now + 10 * DAY_MS }
  const basicConstraints = extension(OID.basicConstraints, true, sequence(BOOLEAN_TRUE))
  const keyUsage = extension(OID.keyUsage, true, tlv(0x03, Buffer.from([1, 0x06])))
  const certificate = makeCertificate({
    subject: commonName,
    issuer: commonName,
    subjectKey: root.publicKey,
    issuerKey: root.privateKey,
    validity,
    extensions: [basicConstraints, keyUsage],
  })
  return {
    certificate,
    issue(names, leafValidity = validity) {
      const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return {
        certificate: makeCertificate({
          subject: names[0] ?? 'nobody',
          issuer: commonName,
          subjectKey: leaf.publicKey,
          issuerKey: root.privateKey,
          validity: leafValidity,
          extensions: [extension(OID.subjectAltName, false, sequence(...names.map(generalName)))],
        }),
        key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

interface Particulars {
  readonly subject: string
  readonly issuer: string
  readonly subjectKey: KeyObject
  readonly issuerKey: KeyObject
  readonly validity: { readonly from: number; readonly until: number }
  readonly extensions: readonly Buffer[]
}

const OID = {
  commonName: '550403',
  ecdsaWithSha256: '2a8648ce3d040302',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
} as const

const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff])

function makeCertificate(particulars: Particulars): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  // Positive and without a leading zero octet: DER is minimal.
  const serial = Buffer.concat([Buffer.from([0x4a]), randomBytes(15)])
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithm,
    distinguishedName(particulars.issuer),
    sequence(time(particulars.validity.from), time(particulars.validity.until)),
    distinguishedName(particulars.subject),
    particulars.subjectKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...particulars.extensions)),
  )
  const signature = sign('sha256', toBeSigned, particulars.issuerKey)
  const der = sequence(toBeSigned, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = der
    .toString('base64')
    .replace(/(.{64})/g, '$1\n')
    .trimEnd()
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const octets = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...octets]), content])
}

const sequence = (...parts: readonly Buffer[]): Buffer => tlv(0x30, Buffer.concat(parts))
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'))
const distinguishedName = (commonName: string): Buffer =>
  sequence(tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(commonName)))))
const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [BOOLEAN_TRUE] : []), tlv(0x04, value))
const generalName = (name: string): Buffer =>
  isIPv4(name) ? tlv(0x87, Buffer.from(name.split('.').map(Number))) : tlv(0x82, Buffer.from(name))
/** UTCTime: YYMMDDHHMMSSZ. */
const time = (moment: number): Buffer =>
  tlv(
    0x17,
    Buffer.from(
      `${new Date(moment)
        .toISOString()
        .replace(/[-:T]|\.[0-9]+/g, '')
        .slice(2)}`,
    ),
  )
