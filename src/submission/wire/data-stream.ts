// smtp-server's parser with another data mode: octets go to a sink in wire form, in the chunks they came in,
// checked by `DataReader`. The library's own data mode walks byte by byte and yields to the event loop at
// each stuffed dot (1.5 MB/s in the worst case), un-stuffs, and cannot stop reading (libraries.md A).
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { DataReader } from '../../message/wire.ts'

/** Takes one message. All calls are made by the stream, in order. */
export interface DataSink {
  /** Octets in wire form; a promise when the stream should wait. */
  write(content: Buffer): Promise<void> | null
  /** The final dot was read. The stream goes on with commands when the promise resolves; it never rejects. */
  end(reader: DataReader): Promise<void>
  /** More octets than allowed: the sink has answered and closes the connection. */
  tooLarge(): void
}

type Done = (error?: Error | null) => void

export class CommandStream extends SMTPStream {
  #sink: DataSink | null = null
  #reader: DataReader | null = null
  #octetsLeft = 0

  /** Switches to data mode: everything up to the final dot belongs to `sink`. */
  receiveData(sink: DataSink, limits: { lineOctetsMax: number; octetsMax: number }): void {
    this.#sink = sink
    this.#reader = new DataReader(limits.lineOctetsMax)
    this.#octetsLeft = limits.octetsMax
    this._dataMode = true
  }

  override _feedDataStream(chunk: Buffer, done: Done): void {
    const sink = this.#sink
    const reader = this.#reader
    if (sink === null || reader === null) return done()
    const { content, rest } = reader.feed(chunk)
    this.#octetsLeft -= content.length
    if (this.#octetsLeft < 0) {
      this.#leaveDataMode()
      this.isClosed = true
      sink.tooLarge()
      return done()
    }
    const wait = content.length > 0 ? sink.write(content) : null
    if (wait === null) this.#afterChunk(sink, reader, rest, done)
    else wait.then(() => this.#afterChunk(sink, reader, rest, done), done)
  }

  #afterChunk(sink: DataSink, reader: DataReader, rest: Buffer | null, done: Done): void {
    if (rest === null) return done()
    this.#leaveDataMode()
    sink.end(reader).then(() => this._write(rest, 'buffer', done), done)
  }

  #leaveDataMode(): void {
    this._dataMode = false
    this._remainder = ''
    this.#sink = null
    this.#reader = null
  }
}
