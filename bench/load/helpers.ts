// The two helper processes as the driver sees them. They are processes of their own so that neither their work nor
// their garbage is counted to the server, and so that the driver's samples come in time.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type {
  HoldOrder,
  HoldResult,
  LoadOrder,
  LoadResult,
  SinkCount,
  SinkNews,
  SinkOrder,
} from './protocol.ts'

const ANSWER_LIMIT_MS = 10_000

export interface Clients {
  /** Sends and resolves when all is accepted or has failed; at most `limitMs`. */
  load(order: LoadOrder, limitMs: number): Promise<LoadResult>
  /** Opens sessions and keeps them until the end of this process. */
  hold(order: HoldOrder, limitMs: number): Promise<HoldResult>
  stop(): void
}

export interface Sink {
  readonly port: number
  /** Counts anew from here. */
  reset(): Promise<void>
  /** Waits until `mails` have arrived since the reset. */
  arrived(mails: number, limitMs: number): Promise<SinkCount>
  stop(): void
}

export function startClients(): Clients {
  const child = fork(join(import.meta.dirname, 'clients.ts'))
  return {
    load: (order, limitMs) =>
      ask<LoadResult, LoadResult>(child, order, (news) => (news.kind === 'loaded' ? news : null), limitMs),
    hold: (order, limitMs) =>
      ask<HoldResult, HoldResult>(child, order, (news) => (news.kind === 'held' ? news : null), limitMs),
    stop: () => child.disconnect(),
  }
}

export async function startSink(address: string, files: { chain: string; key: string }): Promise<Sink> {
  const child = fork(join(import.meta.dirname, 'sink.ts'), [address, files.chain, files.key])
  const port = await ask<SinkNews, number>(
    child,
    null,
    (news) => (news.kind === 'listening' ? news.port : null),
    ANSWER_LIMIT_MS,
  )
  return {
    port,
    async reset() {
      const isDone = (news: SinkNews): true | null => (news.kind === 'reset-done' ? true : null)
      await ask(child, { kind: 'reset' }, isDone, ANSWER_LIMIT_MS)
    },
    arrived: (mails, limitMs) =>
      ask<SinkNews, SinkCount>(
        child,
        { kind: 'await', mails },
        (news) => (news.kind === 'arrived' ? news : null),
        limitMs,
      ),
    stop: () => child.disconnect(),
  }
}

/** Sends `order` if there is one and waits for the message from which `take` gets something. */
async function ask<News, Answer>(
  child: ChildProcess,
  order: LoadOrder | HoldOrder | SinkOrder | null,
  take: (news: News) => Answer | null,
  limitMs: number,
): Promise<Answer> {
  const signal = AbortSignal.timeout(limitMs)
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a helper process ended with ${code}`)
  })
  gone.catch(() => undefined) // looked at only while waiting here
  const answer = new Promise<Answer>((resolve) => {
    const look = (news: News): void => {
      const taken = take(news)
      if (taken === null) return
      child.off('message', look)
      resolve(taken)
    }
    child.on('message', look)
  })
  if (order !== null) child.send(order)
  return Promise.race([answer, gone])
}
