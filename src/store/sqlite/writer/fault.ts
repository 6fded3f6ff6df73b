// What an error of SQLite means for the gateway.
import { faultText } from '../../../runtime/fault.ts'

/**
 * - `request`: this request was wrong (a constraint, a bug); its neighbours are not concerned.
 * - `busy`: another process holds the database for too long; later it may work.
 * - `full`: no space. - `broken`: an I/O error or damage: nothing may be trusted until a restart.
 */
export type TroubleKind = 'request' | 'busy' | 'full' | 'broken'

export interface Trouble {
  readonly kind: TroubleKind
  /** One line for log and reply handling, without data. */
  readonly text: string
}

const FULL = 13
/** Growing the shared memory file met a full disk. */
const IOERR_SHMSIZE = 4874
const BUSY = [5, 6]
/** PERM, NOMEM, READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB. */
const BROKEN = [3, 7, 8, 10, 11, 14, 26]

/** Sorts a thrown thing by what must be done about it. https://www.sqlite.org/rescode.html */
export function sqliteTrouble(thrown: unknown): Trouble {
  const text = faultText(thrown)
  const extended = thrown instanceof Error && 'errcode' in thrown ? Number(thrown.errcode) : 0
  const primary = extended & 0xff
  if (primary === FULL || extended === IOERR_SHMSIZE) return { kind: 'full', text }
  if (BUSY.includes(primary)) return { kind: 'busy', text }
  if (BROKEN.includes(primary)) return { kind: 'broken', text: `${text} (SQLite error ${extended})` }
  return { kind: 'request', text }
}
