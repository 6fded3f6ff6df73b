// The real clamd on the configuration that we ship.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { silentLog } from '../../src/observability/log.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createClamdScanner } from '../../src/scanning/clamd.ts'
import { noScanner } from '../../src/scanning/none.ts'
import type { Scanner, Verdict } from '../../src/scanning/scanner.ts'
import { scannerSettings } from '../../src/scanning/settings.ts'
import { type Clamd, EICAR, startClamd, TEST_VIRUS } from '../support/clamd.ts'
import { requirePart } from '../support/parts.ts'

const { skip } = requirePart('clamd')
const clamds: Clamd[] = []
after(async () => {
  for (const clamd of clamds) await clamd.stop()
})

async function startScanner(overrides: Readonly<Record<string, string>> = {}): Promise<Scanner> {
  const clamd = await startClamd(overrides)
  assert.ok(clamd)
  clamds.push(clamd)
  const settings = scannerSettings.parse({ address: clamd.address })
  return createClamdScanner({ clock: systemClock, log: silentLog }, settings)
}

async function scanned(scanner: Scanner, message: string | Buffer): Promise<Verdict> {
  const scan = scanner.begin()
  const octets = Buffer.from(message)
  for (let at = 0; at < octets.length; at += 20_000) await scan.write(octets.subarray(at, at + 20_000))
  return scan.finish()
}

const mail = (type: string, encoding: string, body: string): string =>
  [
    'From: Anna <anna@example.org>',
    'Subject: report',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=frontier',
    '',
    '--frontier',
    'Content-Type: text/plain',
    '',
    'Please find attached.',
    '--frontier',
    `Content-Type: ${type}`,
    `Content-Transfer-Encoding: ${encoding}`,
    'Content-Disposition: attachment; filename=report',
    '',
    body,
    '--frontier--',
    '',
  ].join('\r\n')

const base64 = (octets: Buffer): string => (octets.toString('base64').match(/.{1,76}/g) ?? []).join('\r\n')

/** A ZIP archive with one stored (uncompressed) file. */
function zip(name: string, content: Buffer): Buffer {
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt32LE(crc32(content), 10)
  common.writeUInt32LE(content.length, 14)
  common.writeUInt32LE(content.length, 18)
  common.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), content])
  const central = Buffer.concat([
    Buffer.from('PK\x01\x02\x14\0'),
    common,
    Buffer.alloc(14),
    Buffer.from(name),
  ])
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}

test('M1: clamd judges what offices send as it should', { skip }, async (context) => {
  const scanner = await startScanner()
  const eicar = { kind: 'infected', signature: 'Eicar.Test.String.UNOFFICIAL' }
  const ours = { kind: 'infected', signature: 'Secure.Transport.Test.UNOFFICIAL' }
  const cases: readonly (readonly [string, string | Buffer, Verdict | typeof eicar])[] = [
    ['a clean mail', mail('text/plain', '7bit', 'Nothing here.'), { kind: 'clean' }],
    ['an empty message', '', { kind: 'clean' }],
    [
      'a clean mail of 20 MB',
      mail('text/plain', '7bit', 'x'.repeat(76).concat('\r\n').repeat(256_000)),
      { kind: 'clean' },
    ],
    ['the bare test string', EICAR, eicar],
    ['our own signature', mail('text/plain', '7bit', TEST_VIRUS), ours],
    ['a base64 attachment', mail('application/octet-stream', 'base64', base64(Buffer.from(EICAR))), eicar],
    [
      'a zip archive',
      mail('application/zip', 'base64', base64(zip('report.com', Buffer.from(EICAR)))),
      eicar,
    ],
    [
      'a zip archive in a zip archive',
      mail('application/zip', 'base64', base64(zip('a.zip', zip('report.com', Buffer.from(EICAR))))),
      eicar,
    ],
    [
      'an attachment behind 2 MB of text',
      mail(
        'application/octet-stream',
        'base64',
        base64(Buffer.concat([Buffer.alloc(2 ** 21, 'a'), Buffer.from(TEST_VIRUS)])),
      ),
      ours,
    ],
  ]
  for (const [what, message, expected] of cases) {
    await context.test(what, async () => assert.deepEqual(await scanned(scanner, message), expected))
  }
})

test('M1: the self-test finds EICAR', { skip }, async () => {
  assert.deepEqual(await (await startScanner()).selfTest(), { ok: true })
})

test('M1: a message beyond StreamMaxLength gets no verdict, and the reason says so', { skip }, async () => {
  const scanner = await startScanner({ StreamMaxLength: '1M' })
  const verdict = await scanned(scanner, Buffer.alloc(3 * 2 ** 20, 'a'))
  assert.equal(verdict.kind, 'unavailable')
  assert.match(
    verdict.kind === 'unavailable' ? verdict.reason : '',
    /INSTREAM size limit exceeded|StreamMaxLength/,
  )
})

test('M1: what clamd did not look at because of a limit is not clean', { skip }, async () => {
  const scanner = await startScanner({ MaxFileSize: '1M' })
  const message = Buffer.concat([Buffer.alloc(3 * 2 ** 20, 'a'), Buffer.from(EICAR)])
  assert.deepEqual(await scanned(scanner, message), {
    kind: 'unavailable',
    reason: 'over a limit of clamd: Heuristics.Limits.Exceeded.MaxFileSize',
  })
})

test('M1: without a scanner, which the operator must choose, everything is clean', async () => {
  assert.deepEqual(await scanned(noScanner, EICAR), { kind: 'clean' })
  assert.deepEqual(await noScanner.selfTest(), { ok: true })
})
