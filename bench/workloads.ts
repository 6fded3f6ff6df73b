// The three workloads of every comparison, and how long one measurement of each lasts.

export type WorkloadName = 'W1' | 'W2' | 'W3'

export interface Workload {
  readonly name: WorkloadName
  readonly title: string
  /** Octets of one mail, header and line ends included; about. */
  readonly sizeBytes: number
  /** Clients that send at the same time, each over one connection. */
  readonly clients: number
  /** Mails that a client sends before it connects anew. */
  readonly mailsPerConnection: number
}

export const workloads: readonly Workload[] = [
  {
    name: 'W1',
    title: '10 KB, one mail per connection',
    sizeBytes: 10_240,
    clients: 20,
    mailsPerConnection: 1,
  },
  {
    name: 'W2',
    title: '10 KB, 100 mails per connection',
    sizeBytes: 10_240,
    clients: 10,
    mailsPerConnection: 100,
  },
  {
    name: 'W3',
    title: '1 MB, 100 mails per connection',
    sizeBytes: 1_048_576,
    clients: 4,
    mailsPerConnection: 100,
  },
]

/** How much is sent: so many mails, or as many as go in so many seconds. */
export type Amount =
  | { readonly kind: 'seconds'; readonly seconds: number }
  | { readonly kind: 'mails'; readonly mails: number }

/** The envelope that every workload uses; the gateway licenses the sender and routes both domains. */
export const envelope = {
  senderDomain: 'bench.test',
  recipientDomain: 'sink.test',
  reversePath: 'bench@bench.test',
  forwardPath: 'recipient@sink.test',
  login: 'bench',
} as const
