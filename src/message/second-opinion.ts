// How another parser reads an address field: nodemailer's, which many programs use. Never the first opinion:
// it is lenient and repairs what it reads (`mailbox-list.ts` decides).
import addressparser from 'nodemailer/lib/addressparser'

/** All addresses that it finds in an unfolded value, those of groups too; `''` for a name without address. */
export const readAddresses = (value: string): string[] =>
  addressparser(value, { flatten: true }).map(({ address }) => address)
