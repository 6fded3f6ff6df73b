// The mark on a copy that went over TLS on both sides (product row M6). Who gets it is decided at delivery,
// when the connection's security is known; the same field from outside never passes (`anonymise.ts`).
// It stands on top of the header and no DKIM signature of ours covers it.

/** The name of the field, in lower case. */
export const FORWARDED_KEY = 'x-securetransport-forwarded'

/** The whole field with its CRLF. */
export const forwardedField = (): Buffer => Buffer.from('X-secureTransport-forwarded: yes\r\n', 'latin1')
