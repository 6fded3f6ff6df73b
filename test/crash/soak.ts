// `npm run soak:crash`: kills the gateway -9 under load, again and again, and counts what came of its promises.
//   --rounds N    how many kills (20)
//   --seed N      repeats the load and the kills of a former run; by default another one each time
//   --json FILE   writes the report there: accepted, delivered, lost, duplicated, and all that is printed
// Exit code 0 when nothing was lost and nothing came twice without an explanation, 1 when something was or did.
import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { isFlawless, runSoak, type SoakReport } from './kill-rounds.ts'

const USAGE = 'usage: npm run soak:crash -- [--rounds N] [--seed N] [--json FILE]'
const SEED_MAX = 2 ** 31

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, seed: { type: 'string' }, json: { type: 'string' } },
})
const rounds = integer(values.rounds ?? '20', 'rounds')
const seed = values.seed === undefined ? randomInt(SEED_MAX) : integer(values.seed, 'seed')
process.stdout.write(`${rounds} rounds, seed ${seed}\n`)
const report = await runSoak({
  rounds,
  seed,
  onRound(round, { moment }, ledger) {
    if (round % 10 !== 0 && round !== rounds) return
    const { accepted, duplicated } = ledger.report()
    process.stdout.write(
      `${round} kills, the last at "${moment}": ${accepted} mails accepted, ` +
        `${ledger.outstanding} deliveries outstanding, ${duplicated} duplicates\n`,
    )
  },
})
process.stdout.write(text(report))
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
process.exitCode = isFlawless(report) ? 0 : 1

function integer(given: string, name: string): number {
  if (/^[0-9]{1,10}$/.test(given)) return Number(given)
  process.stderr.write(`--${name}: "${given}" is not a number\n${USAGE}\n`)
  process.exit(2)
}

function text(done: SoakReport): string {
  const kills = Object.entries(done.kills).map(([moment, count]) => `${moment} ${count}`)
  const lines = [
    `kills           ${done.rounds} (${kills.join(', ')}), seed ${done.seed}`,
    `accepted        ${done.accepted} mails, ${done.deliveries} deliveries`,
    `delivered       ${done.delivered} mails`,
    `lost            ${done.lost}`,
    `duplicated      ${done.duplicated} deliveries: ${done.duplicatedUnanswered} without the recipient's reply before the end, ` +
      `${done.duplicatedAnswered} with it at most ${done.longestAnswerToEndMs} ms before, ${done.unexplained} unexplained`,
    `unacknowledged  ${done.unacknowledged} mails arrived whose 250 was cut off, ${done.torn} of them in part`,
    `damaged         ${done.damaged}, unexpected ${done.unexpected}, refused ${done.refused}`,
    `left over       ${done.queued} in the queue, ${done.spoolFiles.length} files in the spool, exit code ${done.exitCode}`,
    `recovered       ${done.recovered} deliveries, taken over at starts`,
    `start           ${done.startMs.median} ms median, ${done.startMs.longest} ms longest`,
    `time            ${(done.durationMs / 1000).toFixed(1)} s, the last ${(done.drainMs / 1000).toFixed(1)} s without kills`,
    ...done.problems.map((problem) => `PROBLEM ${problem}`),
    ...done.faults.map((line) => `LOGGED ${line}`),
  ]
  return `${lines.join('\n')}\n`
}
