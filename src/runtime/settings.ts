// Building blocks for the rooms' settings files: durations, sizes, secrets as people write them.
import { z } from 'zod'

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** `90s`, `15min`, `120h`, `5d`, `250ms` as milliseconds, or `null` when it is not a duration. */
export function parseDuration(text: string): number | null {
  const match = /^([0-9]{1,9})\s*(ms|s|min|m|h|d)$/.exec(text.trim())
  if (!match) return null
  return Number(match[1]) * (DURATION_UNITS[match[2] ?? ''] ?? Number.NaN)
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

/** `512`, `64KB`, `50MB`, `2GB` (powers of 1024) as octets, or `null` when it is not a size. */
export function parseSize(text: string): number | null {
  const match = /^([0-9]{1,12})\s*(B|KB|MB|GB)?$/.exec(text.trim())
  if (!match) return null
  return Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? Number.NaN)
}

interface Meta {
  /** One or two sentences: what it does and when to change it. */
  readonly description: string
  /** What a running gateway takes over without a restart. */
  readonly reload?: 'live' | 'restart'
}

/** A duration written with a unit; milliseconds in code. */
export const duration = (initial: string, range: { min: string; max: string }, meta: Meta) =>
  z
    .string()
    .refine(
      (text) => {
        const value = parseDuration(text)
        return (
          value !== null &&
          value >= (parseDuration(range.min) ?? 0) &&
          value <= (parseDuration(range.max) ?? 0)
        )
      },
      { error: `a duration such as 90s, 15min, 120h or 5d, from ${range.min} to ${range.max}` },
    )
    .prefault(initial)
    .transform((text) => parseDuration(text) ?? 0)
    .meta({ ...meta, unit: 'duration', minimum: range.min, maximum: range.max, default: initial })

/** A size written with a unit; octets in code. */
export const size = (initial: string, range: { min: string; max: string }, meta: Meta) =>
  z
    .string()
    .refine(
      (text) => {
        const value = parseSize(text)
        return value !== null && value >= (parseSize(range.min) ?? 0) && value <= (parseSize(range.max) ?? 0)
      },
      { error: `a size such as 64KB, 50MB or 2GB, from ${range.min} to ${range.max}` },
    )
    .prefault(initial)
    .transform((text) => parseSize(text) ?? 0)
    .meta({ ...meta, unit: 'size', minimum: range.min, maximum: range.max, default: initial })

/** A whole number within bounds. */
export const count = (initial: number, range: { min: number; max: number }, meta: Meta) =>
  z
    .int({ error: `a whole number from ${range.min} to ${range.max}` })
    .min(range.min, { error: `a whole number from ${range.min} to ${range.max}` })
    .max(range.max, { error: `a whole number from ${range.min} to ${range.max}` })
    .default(initial)
    .meta({ ...meta, unit: 'number' })
