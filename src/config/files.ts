// What the configuration points to on disk: certificates and their keys, authorities, texts of notices. Read
// once, to say before the start what would fail after it. Contents of keys are shown nowhere.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { KeyPath } from './reference.ts'
import type { Finding } from './rules.ts'
import type { WrittenConfiguration } from './schema.ts'
import { errorCode } from './secrets.ts'

const PEM_OCTETS_MAX = 1024 * 1024
const EXPIRES_SOON_MS = 14 * 86_400_000

/** The configuration with every path made absolute, relative ones taken from where `file` lies. */
export function withAbsolutePaths(configuration: WrittenConfiguration, file: string): WrittenConfiguration {
  const directory = dirname(resolve(file))
  const absolute = (path: string): string => resolve(directory, path)
  const { delivery, notifications } = configuration
  return {
    ...configuration,
    dataDirectory: absolute(configuration.dataDirectory),
    certificates: configuration.certificates.map(({ chain, key }) => ({
      chain: absolute(chain),
      key: absolute(key),
    })),
    anonymise: configuration.anonymise === null ? null : absolute(configuration.anonymise),
    delivery: { ...delivery, trustedCertificates: delivery.trustedCertificates.map(absolute) },
    notifications: {
      ...notifications,
      templates: notifications.templates === null ? null : absolute(notifications.templates),
    },
  }
}

/** Findings about files that a configuration with absolute paths names. @param now epoch ms */
export function checkFiles(configuration: WrittenConfiguration, now: number): Finding[] {
  const { certificates, delivery, hostname } = configuration
  return [
    ...certificates.flatMap((pair, index) => checkPair(pair, ['certificates', index], hostname, now)),
    ...delivery.trustedCertificates.flatMap((path, index) =>
      checkAuthorities(path, ['delivery', 'trustedCertificates', index]),
    ),
    ...checkTemplates(configuration),
  ]
}

function checkPair(
  { chain, key }: { readonly chain: string; readonly key: string },
  path: KeyPath,
  hostname: string,
  now: number,
): Finding[] {
  const chainPath = [...path, 'chain']
  const keyPath = [...path, 'key']
  const [chainPem, keyPem] = [readPem(chain), readPem(key)]
  const findings: Finding[] = []
  if (chainPem.kind === 'fault') findings.push({ severity: 'error', path: chainPath, text: chainPem.text })
  if (keyPem.kind === 'fault') findings.push({ severity: 'error', path: keyPath, text: keyPem.text })
  if (chainPem.kind === 'fault' || keyPem.kind === 'fault') return findings
  const certificate = attempt(() => new X509Certificate(chainPem.pem))
  const privateKey = attempt(() => createPrivateKey(keyPem.pem))
  if (certificate === null) {
    findings.push({ severity: 'error', path: chainPath, text: `${chain} holds no certificate in PEM form` })
  }
  if (privateKey === null) {
    findings.push({ severity: 'error', path: keyPath, text: `${key} holds no private key in PEM form` })
  }
  if (certificate === null || privateKey === null) return findings
  if (!certificate.checkPrivateKey(privateKey)) {
    findings.push({ severity: 'error', path: keyPath, text: `${key} does not belong to ${chain}` })
  }
  if (keyPem.isPublic) {
    findings.push({
      severity: 'warning',
      path: keyPath,
      text: `${key} can be read by every user of this machine`,
    })
  }
  return [...findings, ...checkCertificate(certificate, chain, chainPath, hostname, now)]
}

function checkCertificate(
  certificate: X509Certificate,
  chain: string,
  path: KeyPath,
  hostname: string,
  now: number,
): Finding[] {
  const warn = (text: string): Finding => ({ severity: 'warning', path, text: `${chain} ${text}` })
  const findings: Finding[] = []
  const endsAt = certificate.validToDate.getTime()
  const day = certificate.validToDate.toISOString().slice(0, 10)
  if (endsAt <= now) findings.push(warn(`expired on ${day}: clients will refuse it`))
  else if (endsAt - now < EXPIRES_SOON_MS) findings.push(warn(`expires on ${day}`))
  if (certificate.validFromDate.getTime() > now)
    findings.push(warn('is not valid yet: clients will refuse it'))
  if (certificate.checkHost(hostname) === undefined) {
    findings.push(warn(`does not name ${hostname}: clients that connect to that name will refuse it`))
  }
  if (certificate.checkIssued(certificate)) findings.push(warn('is self-signed: clients will refuse it'))
  return findings
}

function checkAuthorities(file: string, path: KeyPath): Finding[] {
  const pem = readPem(file)
  if (pem.kind === 'fault') return [{ severity: 'error', path, text: pem.text }]
  if (attempt(() => new X509Certificate(pem.pem)) !== null) return []
  return [{ severity: 'error', path, text: `${file} holds no certificate in PEM form` }]
}

function checkTemplates({ notifications }: WrittenConfiguration): Finding[] {
  const { templates, languages } = notifications
  const directory = templates ?? join(import.meta.dirname, '../../config/notifications')
  return languages.flatMap((language, index): Finding[] => {
    if (attempt(() => statSync(join(directory, language)).isDirectory())) return []
    const text = `there are no texts for "${language}": ${join(directory, language)} is not a directory`
    return [{ severity: 'error', path: ['notifications', 'languages', index], text }]
  })
}

type Pem =
  | { readonly kind: 'pem'; readonly pem: string; readonly isPublic: boolean }
  | { readonly kind: 'fault'; readonly text: string }

function readPem(path: string): Pem {
  try {
    const { size, mode } = statSync(path)
    if (size > PEM_OCTETS_MAX) return { kind: 'fault', text: `${path} is over 1 MB` }
    return { kind: 'pem', pem: readFileSync(path, 'latin1'), isPublic: (mode & 0o004) !== 0 }
  } catch (thrown) {
    return { kind: 'fault', text: `${path} cannot be read (${errorCode(thrown)})` }
  }
}

/** The result, or `null` when it threw: what is not well-formed is a finding, not a fault. */
function attempt<T>(action: () => T): T | null {
  try {
    return action()
  } catch {
    return null
  }
}
