// The suites and groups that we speak, to clients and to next hops alike: TLS 1.3 and 1.2 with forward secrecy
// and AEAD, hybrid post-quantum key exchange first. RFC 9325 §4, RFC 8996; BSI TR-02102-2 has all but ChaCha20.

/** For OpenSSL, in order of preference; never weaker than ECDHE-RSA-AES128-GCM-SHA256 (product row S2). */
export const TLS_SUITES = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** Groups without a post-quantum share: a ClientHello that fits one TCP segment. */
export const CLASSICAL_GROUPS = 'X25519:P-256:P-384:P-521'

/** Hybrid post-quantum first. */
export const HYBRID_GROUPS = `X25519MLKEM768:${CLASSICAL_GROUPS}`
