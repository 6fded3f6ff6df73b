// xtext, the transfer form of ENVID and ORCPT. RFC 3461 §4. We keep and relay the raw form; decoding is for
// delivery-status fields only.

/** True when `text` is well-formed xtext: printable ASCII but `+` and `=`, and `+XX` with upper-case hex. */
export const isXtext = (text: string): boolean => /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(text)

/** The octets that an xtext stands for, as UTF-8 text; malformed sequences become U+FFFD. */
export function decodeXtext(text: string): string {
  const octets: number[] = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '+') {
      octets.push(Number.parseInt(text.slice(at + 1, at + 3), 16))
      at += 2
    } else octets.push(text.charCodeAt(at))
  }
  return Buffer.from(octets).toString('utf8')
}

/** The xtext form of a text (UTF-8 octets). */
export function encodeXtext(text: string): string {
  let out = ''
  for (const octet of Buffer.from(text, 'utf8')) {
    const plain = octet > 0x20 && octet < 0x7f && octet !== 0x2b && octet !== 0x3d
    out += plain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
