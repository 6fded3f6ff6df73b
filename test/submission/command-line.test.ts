import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeCommandLine, parseMailCommand, parseRcptCommand } from '../../src/submission/command-line.ts'

const mailReply = (line: string): string => {
  const command = parseMailCommand(line)
  return command.kind === 'refused' ? command.reply.id : `<${command.envelope.reversePath?.text ?? ''}>`
}
const rcptReply = (line: string, smtpUtf8 = false): string => {
  const command = parseRcptCommand(line, smtpUtf8)
  return command.kind === 'refused'
    ? command.reply.id
    : `<${command.recipient.forwardPath.localPart}@${command.recipient.forwardPath.domain}>`
}

describe('MAIL FROM', () => {
  const valid: [string, string][] = [
    ['MAIL FROM:<a@office.example>', '<a@office.example>'],
    ['mail from:<a@office.example>', '<a@office.example>'],
    ['MAIL FROM: <a@office.example>', '<a@office.example>'],
    ['MAIL FROM:<>', '<>'],
    ['MAIL FROM:<@relay.example,@b.example:a@office.example>', '<a@office.example>'],
    ['MAIL FROM:<"a b"@office.example>', '<"a b"@office.example>'],
    ['MAIL FROM:<"a>b"@office.example> SIZE=10', '<"a>b"@office.example>'],
    ['MAIL FROM:<a@office.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ314159', '<a@office.example>'],
    ['MAIL FROM:<müller@müller.example> SMTPUTF8', '<müller@müller.example>'],
    ['MAIL FROM:<a@office.example> AUTH=<>', '<a@office.example>'],
  ]
  const invalid: [string, string][] = [
    ['MAIL FROM:a@office.example', 'syntax-mail'],
    ['MAIL FROM <a@office.example>', 'syntax-mail'],
    ['MAIL FROM:<a@office.example>X', 'syntax-mail'],
    ['MAIL FROM:<a@office.example> SIZE=1 SIZE=2', 'syntax-mail'],
    ['MAIL FROM:<a@office.example> SIZE=x', 'parameter-invalid'],
    ['MAIL FROM:<a@office.example> BODY=BINARYMIME', 'parameter-invalid'],
    ['MAIL FROM:<a@office.example> RET=SOME', 'parameter-invalid'],
    [`MAIL FROM:<a@office.example> ENVID=${'x'.repeat(101)}`, 'parameter-invalid'],
    ['MAIL FROM:<a@office.example> ENVID=a=b', 'parameter-invalid'],
    ['MAIL FROM:<a@office.example> BY=120;R', 'parameter-unknown'],
    ['MAIL FROM:<a@office.example> MT-PRIORITY=4', 'parameter-unknown'],
    ['MAIL FROM:<a@office.example> FOO', 'parameter-unknown'],
    ['MAIL FROM:<a@office.example> REQUIRETLS', 'parameter-unknown'],
    ['MAIL FROM:<müller@office.example>', 'smtputf8-needed'],
    ['MAIL FROM:<a@[127.0.0.1]>', 'sender-literal'],
    ['MAIL FROM:<a@127.1>', 'sender-invalid'],
    ['MAIL FROM:<a@0x7f.1>', 'sender-invalid'],
    ['MAIL FROM:<a@xn--x-ka.de>', 'sender-invalid'],
    ['MAIL FROM:<a@xn--ab-r13a.de>', 'sender-invalid'],
    ['MAIL FROM:<a@ｏffice.example> SMTPUTF8', 'sender-invalid'],
    ['MAIL FROM:<a b@office.example>', 'syntax-mail'],
    ['MAIL FROM:<a@b@office.example>', 'sender-invalid'],
    ['MAIL FROM:<a%b@office.example>', 'sender-invalid'],
    ['MAIL FROM:<a..b@office.example>', 'sender-invalid'],
    [`MAIL FROM:<${'a'.repeat(65)}@office.example>`, 'sender-invalid'],
  ]
  for (const [line, expected] of [...valid, ...invalid]) {
    test(`${line.slice(0, 90)} gives ${expected}`, () => assert.equal(mailReply(line), expected))
  }
  test('S11: the parameters are kept as they were written', () => {
    assert.deepEqual(
      parseMailCommand('MAIL FROM:<a@office.example> SIZE=5000 RET=full ENVID=a+2Bb SMTPUTF8'),
      {
        kind: 'mail',
        declaredSize: 5000,
        envelope: {
          reversePath: { localPart: 'a', domain: 'office.example', text: 'a@office.example' },
          dsn: { ret: 'full', envid: 'a+2Bb' },
          smtpUtf8: true,
          requireTls: false,
        },
      },
    )
  })
})

describe('RCPT TO', () => {
  const cases: [string, string, boolean?][] = [
    ['RCPT TO:<b@r.example>', '<b@r.example>'],
    ['RCPT TO:<B@R.Example>', '<B@r.example>'],
    ['RCPT TO:<b@müller.example>', '<b@xn--mller-kva.example>'],
    ['RCPT TO:<b@r.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bx@r.example', '<b@r.example>'],
    ['RCPT TO:<b@r.example> NOTIFY=NEVER,SUCCESS', 'parameter-invalid'],
    ['RCPT TO:<b@r.example> NOTIFY=success,success', 'parameter-invalid'],
    ['RCPT TO:<b@r.example> NOTIFY=', 'parameter-invalid'],
    ['RCPT TO:<b@r.example> ORCPT=b@r.example', 'parameter-invalid'],
    [`RCPT TO:<b@r.example> ORCPT=rfc822;${'x'.repeat(500)}`, 'parameter-invalid'],
    ['RCPT TO:<b@r.example> HOLDFOR=5', 'parameter-unknown'],
    ['RCPT TO:<>', 'recipient-invalid'],
    ['RCPT TO:<postmaster>', 'recipient-invalid'],
    ['RCPT TO:<b@[IPv6:::1]>', 'recipient-literal'],
    ['RCPT TO:<übel@r.example>', 'smtputf8-needed'],
    ['RCPT TO:<übel@r.example>', '<übel@r.example>', true],
  ]
  for (const [line, expected, smtpUtf8] of cases) {
    test(`${line.slice(0, 90)} gives ${expected}${smtpUtf8 ? ' with SMTPUTF8' : ''}`, () => {
      assert.equal(rcptReply(line, smtpUtf8 ?? false), expected)
    })
  }
})

describe('the octets of a command line', () => {
  const refused: [string, Uint8Array][] = [
    ['a bare CR', Buffer.from('MAIL FROM:<a@b.example>\rRCPT TO:<c@d.example>')],
    ['a NUL', Buffer.from('MAIL FROM:<a\0@b.example>')],
    ['octets that are not UTF-8', Buffer.from([0x4d, 0xff, 0xfe])],
    ['a C1 control', Buffer.from('MAIL FROM:<a\u0085@b.example>')],
  ]
  for (const [name, octets] of refused) {
    test(`with ${name} are refused`, () => assert.equal(decodeCommandLine(octets), null))
  }
  test('in UTF-8 are text', () => assert.equal(decodeCommandLine(Buffer.from('müller')), 'müller'))
})
