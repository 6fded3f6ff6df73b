// Is there a second copy of what we acknowledge? Asked before mail is taken when the configuration requires it.
// The role needs `pg_monitor` (or `pg_read_all_stats`) to see the state of the standbys.
import { flag, integer } from '../session/columns.ts'
import type { Connection, Statement, Step } from '../session/connection.ts'

const LOOK: Statement = {
  name: 'standby',
  text: `SELECT current_setting('synchronous_standby_names') <> '' AS named,
    current_setting('synchronous_commit') IN ('on', 'remote_apply') AS waits,
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS copies`,
}

/** `null` when commits are kept on a second server, else what is missing, for the log. */
export async function missingStandby(connection: Connection): Promise<string | null> {
  const [row = {}] = (await connection.query(LOOK)).rows
  if (!flag(row, 'named')) return 'synchronous_standby_names is empty'
  if (!flag(row, 'waits')) return 'synchronous_commit is not on'
  return integer(row, 'copies') > 0
    ? null
    : 'no synchronous standby is connected (or the role lacks pg_monitor)'
}

/**
 * As a part of a transaction: makes it fail (SQLSTATE 42704) on a server that would commit alone, such as a
 * standby that was promoted a moment ago.
 */
export const REQUIRE_STANDBY: Step = {
  statement: {
    name: 'require-standby',
    text: `SELECT current_setting(CASE
        WHEN current_setting('synchronous_standby_names') <> ''
          AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
        THEN 'server_version' ELSE 'secure_transport.synchronous_standby' END)`,
  },
  values: [],
}
