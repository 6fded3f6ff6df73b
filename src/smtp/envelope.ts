// The envelope of a message as submission accepts it and the queue keeps it. RFC 5321 §2.3.1.
import type { MessageDsn, RecipientDsn } from './dsn-parameters.ts'
import type { ForwardPath, ReversePath } from './mailbox.ts'

export interface Recipient {
  readonly forwardPath: ForwardPath
  readonly dsn: RecipientDsn
}

export interface Envelope {
  readonly reversePath: ReversePath
  readonly recipients: readonly Recipient[]
  readonly dsn: MessageDsn
  /** SMTPUTF8 was given, or an address or header field needs it. RFC 6531. */
  readonly smtpUtf8: boolean
  /** REQUIRETLS was given: outranks every cleartext permit. RFC 8689. */
  readonly requireTls: boolean
}
