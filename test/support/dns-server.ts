// A DNS server in this process for tests and demonstrations: answers over UDP and TCP on one loopback port,
// as a validating resolver would, and only what was declared; every other name does not exist.
//
//     const dns = await startDnsServer({
//       'example.test': { MX: ['10 mx1.example.test', '20 mx2.example.test'], secure: true },
//       'mx1.example.test': { A: ['127.0.0.1'], AAAA: 'silent', secure: true },
//       '_25._tcp.mx1.example.test': { TLSA: 'servfail' },
//       'null.test': { MX: ['0 .'] },
//       'alias.test': { CNAME: 'example.test' },
//     })
//     … resolvers: [dns.address] …
//     dns.set('new.test', { A: ['127.0.0.1'] })
//     assert.deepEqual(dns.queries, [{ name: 'example.test', type: 'MX', transport: 'udp' }])
//     await dns.stop()
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import * as dnsPacket from 'dns-packet'

/** Instead of records: an error code, no answer at all, or octets that are no DNS message. */
export type Misbehaviour = 'servfail' | 'refused' | 'silent' | 'garbage'

type Declared = readonly string[] | Misbehaviour

/** What a name has. A type that is not there gives "no data". */
export interface ZoneEntry {
  /** `10 mx.example.test`; `0 .` is a null MX. */
  readonly MX?: Declared
  readonly A?: Declared
  readonly AAAA?: Declared
  /** One string per record, of any length. */
  readonly TXT?: Declared
  /** `3 1 1 0123abcd…`. */
  readonly TLSA?: Declared
  /** Alias: answers for other types follow it within the zone. */
  readonly CNAME?: string
  /** Every type of this name misbehaves. */
  readonly all?: Misbehaviour
  /** Answers carry the AD bit; undeclared names below a secure one do so too. An alias must be secure as well. */
  readonly secure?: boolean
  /** UDP answers are cut off (TC), so that TCP must be used. */
  readonly truncated?: boolean
  /** Lifetime of the records; 300 without. */
  readonly ttlSeconds?: number
}

/** Names in lower case without trailing dot. */
export type ZoneData = Readonly<Record<string, ZoneEntry>>

export interface DnsQuery {
  readonly name: string
  /** `MX`, `A`, … */
  readonly type: string
  readonly transport: 'udp' | 'tcp'
}

export interface DnsServer {
  /** `127.0.0.1:port`, as in `dns.resolvers`. */
  readonly address: string
  readonly port: number
  /** All questions so far, in order, silent ones included. */
  readonly queries: readonly DnsQuery[]
  /** Resolves when `count` questions have come in all. */
  queried(count: number): Promise<void>
  /** Declares or replaces a name. */
  set(name: string, entry: ZoneEntry): void
  /** Makes a name non-existent. */
  remove(name: string): void
  /** Forgets `queries`. */
  forgetQueries(): void
  stop(): Promise<void>
}

type RecordTypeHere = 'MX' | 'A' | 'AAAA' | 'TXT' | 'TLSA'
type Outcome =
  | { readonly kind: 'misbehave'; readonly how: Misbehaviour }
  | {
      readonly kind: 'answer'
      readonly rcode: 0 | 3
      readonly answers: dnsPacket.Answer[]
      readonly secure: boolean
      readonly truncated: boolean
    }

const TTL_SECONDS = 300
const NEGATIVE_TTL_SECONDS = 60
const ALIASES_MAX = 16
const RCODE_SERVFAIL = 2
const RCODE_REFUSED = 5
const PORT_TRIES_MAX = 10

/** Starts the server on 127.0.0.1, the same free port for UDP and TCP. */
export async function startDnsServer(zone: ZoneData = {}): Promise<DnsServer> {
  const entries = new Map(Object.entries(zone))
  const queries: DnsQuery[] = []
  const { udp, tcp, port } = await listen()
  const connections = new Set<Socket>()

  const respond = (message: Buffer, transport: 'udp' | 'tcp'): Buffer | null => {
    const query = dnsPacket.decode(message)
    const question = query.questions?.[0]
    if (!question) return null
    const name = question.name.toLowerCase()
    queries.push({ name, type: question.type, transport })
    udp.emit('queried')
    return encodeResponse(query, question, resolve(entries, name, question.type), transport)
  }

  udp.on('message', (message, sender) => {
    const response = respond(message, 'udp')
    if (response) udp.send(response, sender.port, sender.address)
  })
  tcp.on('connection', (socket) => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
    socket.on('error', () => {}) // the client may leave in the middle
    let received = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0)
        const response = respond(received.subarray(2, end), 'tcp')
        received = received.subarray(end)
        if (!response) continue
        const length = Buffer.alloc(2)
        length.writeUInt16BE(response.length)
        socket.write(Buffer.concat([length, response]))
      }
    })
  })

  return {
    address: `127.0.0.1:${port}`,
    port,
    queries,
    async queried(count) {
      while (queries.length < count) await once(udp, 'queried')
    },
    set: (name, entry) => void entries.set(name, entry),
    remove: (name) => void entries.delete(name),
    forgetQueries: () => void queries.splice(0),
    async stop() {
      const closed = Promise.all([once(udp, 'close'), once(tcp, 'close')])
      udp.close()
      tcp.close()
      for (const socket of connections) socket.destroy()
      await closed
    },
  }
}

/** UDP takes a free port, TCP the same; when somebody else has it there, once more. */
async function listen(): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket('udp4')
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const { port } = udp.address()
    const tcp = createServer()
    try {
      tcp.listen({ port, host: '127.0.0.1' })
      await once(tcp, 'listening')
      return { udp, tcp, port }
    } catch (error) {
      udp.close()
      if (attempt === PORT_TRIES_MAX) throw error
    }
  }
}

/** What the zone says about `name`, aliases followed. */
function resolve(entries: ReadonlyMap<string, ZoneEntry>, name: string, type: string): Outcome {
  const answers: dnsPacket.Answer[] = []
  let owner = name
  let secure = true
  let truncated = false
  for (let aliases = 0; aliases < ALIASES_MAX; aliases++) {
    const entry = entries.get(owner)
    if (!entry) {
      secure &&= isSecureAbove(entries, owner)
      const rcode = hasNamesBelow(entries, owner) ? 0 : 3
      return { kind: 'answer', rcode, answers, secure, truncated }
    }
    secure &&= entry.secure === true
    truncated ||= entry.truncated === true
    const ttl = entry.ttlSeconds ?? TTL_SECONDS
    if (entry.all !== undefined) return { kind: 'misbehave', how: entry.all }
    if (entry.CNAME === undefined || type === 'CNAME') {
      const declared = isRecordType(type) ? (entry[type] ?? []) : []
      if (typeof declared === 'string') return { kind: 'misbehave', how: declared }
      for (const text of declared) if (isRecordType(type)) answers.push(toRecord(owner, type, ttl, text))
      return { kind: 'answer', rcode: 0, answers, secure, truncated }
    }
    answers.push({ type: 'CNAME', name: owner, ttl, data: entry.CNAME })
    owner = entry.CNAME
  }
  return { kind: 'answer', rcode: 0, answers, secure, truncated }
}

const isRecordType = (type: string): type is RecordTypeHere =>
  ['MX', 'A', 'AAAA', 'TXT', 'TLSA'].includes(type)

/** A name that only has names below it exists, without records. RFC 8020. */
const hasNamesBelow = (entries: ReadonlyMap<string, ZoneEntry>, name: string): boolean =>
  [...entries.keys()].some((other) => other.endsWith(`.${name}`))

function isSecureAbove(entries: ReadonlyMap<string, ZoneEntry>, name: string): boolean {
  const labels = name.split('.')
  for (let index = 1; index < labels.length; index++) {
    const entry = entries.get(labels.slice(index).join('.'))
    if (entry) return entry.secure === true
  }
  return false
}

function toRecord(name: string, type: RecordTypeHere, ttl: number, text: string): dnsPacket.Answer {
  switch (type) {
    case 'MX': {
      const blank = text.indexOf(' ')
      const data = { preference: Number(text.slice(0, blank)), exchange: text.slice(blank + 1) }
      return { type, name, ttl, data }
    }
    case 'A':
    case 'AAAA':
      return { type, name, ttl, data: text }
    case 'TXT': {
      const octets = Buffer.from(text)
      const strings: Buffer[] = []
      for (let at = 0; at < octets.length; at += 255) strings.push(octets.subarray(at, at + 255))
      return { type, name, ttl, data: strings }
    }
    case 'TLSA': {
      const [usage = '', selector = '', matching = '', hex = ''] = text.split(' ')
      const data = {
        usage: Number(usage),
        selector: Number(selector),
        matchingType: Number(matching),
        certificate: Buffer.from(hex, 'hex'),
      }
      return { type, name, ttl, data }
    }
    default:
      return type satisfies never
  }
}

function encodeResponse(
  query: dnsPacket.DecodedPacket,
  question: dnsPacket.Question,
  outcome: Outcome,
  transport: 'udp' | 'tcp',
): Buffer | null {
  const flags = dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | dnsPacket.AUTHORITATIVE_ANSWER
  const common: dnsPacket.Packet = { type: 'response', id: query.id ?? 0, questions: [question] }
  if (outcome.kind === 'misbehave') {
    if (outcome.how === 'silent') return null
    if (outcome.how === 'servfail') return dnsPacket.encode({ ...common, flags: flags | RCODE_SERVFAIL })
    if (outcome.how === 'refused') return dnsPacket.encode({ ...common, flags: flags | RCODE_REFUSED })
    return garbageFor(dnsPacket.encode({ ...common, flags }))
  }
  const option = query.additionals?.find((record) => record.type === 'OPT')
  const wantsEvidence = query.flag_ad || (option?.type === 'OPT' && option.flag_do)
  const authentic = outcome.secure && wantsEvidence ? dnsPacket.AUTHENTIC_DATA : 0
  const response = dnsPacket.encode({
    ...common,
    flags: flags | outcome.rcode | authentic,
    answers: outcome.answers,
    authorities: outcome.answers.every(isAlias) ? [soaFor(question.name)] : [],
  })
  const limit = transport === 'tcp' ? 65_535 : option?.type === 'OPT' ? option.udpPayloadSize : 512
  if (response.length <= limit && !(outcome.truncated && transport === 'udp')) return response
  return dnsPacket.encode({ ...common, flags: flags | outcome.rcode | dnsPacket.TRUNCATED_RESPONSE })
}

const isAlias = (record: dnsPacket.Answer): boolean => record.type === 'CNAME'

/** The right head and question, then octets that promise a record and hold none. */
function garbageFor(response: Buffer): Buffer {
  const garbage = Buffer.concat([response, Buffer.from('not a record')])
  garbage.writeUInt16BE(1, 6)
  return garbage
}

const soaFor = (name: string): dnsPacket.Answer => ({
  type: 'SOA',
  name: name.split('.').at(-1) ?? '.',
  ttl: NEGATIVE_TTL_SECONDS,
  data: {
    mname: 'ns.invalid',
    rname: 'hostmaster.invalid',
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: NEGATIVE_TTL_SECONDS,
  },
})
