import type { Database } from './database.ts';
import type { FleetRow, Records, UsualDuration } from './types.ts';

/** A team's sandboxes at a glance. */

interface FleetLine {
  id: string;
  host_id: string | null;
  template: string;
  state: string;
  since: string;
  seq: number;
  execution: number;
  tries: unknown;
  error_code: string | null;
}

/** Columns of what is looked at; the two parts of it are found by an index each. */
const COLUMNS = 'id, host_id, template, state, step, updated_at, seq, execution, last_error';

/**
 * The team's sandboxes, those that changed last first: all that are not gone, and those that failed after `failedSince`. The full
 * value of a state and the tries are told by the last transition; before the first one there is only what was claimed.
 *
 * @throws `RECORDS_UNAVAILABLE`
 */
export async function fleet(
  db: Database,
  teamId: string,
  { failedSince, limit }: Parameters<Records['fleet']>[1],
): Promise<FleetRow[]> {
  const lines = await db.run((em) =>
    em.execute<FleetLine[]>(
      `select s.id, s.host_id, s.template, coalesce(t."to", concat_ws('.', s.state, s.step)) as state,
         s.updated_at as since, s.seq, s.execution, t.moment -> 'context' -> 'tries' as tries, s.last_error ->> 'code' as error_code
       from (
         (select ${COLUMNS} from sandboxes where team_id = ? and state not in ('destroyed', 'failed')
          order by updated_at desc, id limit ?)
         union all
         (select ${COLUMNS} from sandboxes where team_id = ? and state = 'failed' and updated_at >= ?
          order by updated_at desc, id limit ?)
       ) s left join transitions t on t.sandbox_id = s.id and t.seq = s.seq
       order by s.updated_at desc, s.id limit ?`,
      [teamId, limit, teamId, failedSince, limit, limit],
    ),
  );
  return lines.map((line) => ({
    id: line.id,
    hostId: line.host_id ?? '',
    template: line.template,
    state: line.state,
    since: new Date(line.since),
    seq: line.seq,
    execution: line.execution,
    tries: typeof line.tries === 'number' ? line.tries : null,
    errorCode: line.error_code,
  }));
}

/** How many of the newest transitions tell what is usual. */
const TRANSITIONS_LOOKED_AT = 20_000;

/**
 * How long the team's sandboxes usually stay in a state, from their newest transitions: by its full value, from when one came into
 * it until it left it. States that none has left are not told of.
 *
 * @throws `RECORDS_UNAVAILABLE`
 */
export async function usualDurations(db: Database, teamId: string): Promise<UsualDuration[]> {
  const lines = await db.run((em) =>
    em.execute<Array<{ state: string; count: string; p50: number; p95: number; p99: number }>>(
      `select state, count(*) as count,
         percentile_cont(0.5) within group (order by ms) as p50,
         percentile_cont(0.95) within group (order by ms) as p95,
         percentile_cont(0.99) within group (order by ms) as p99
       from (
         select "to" as state, seq, lead(seq) over following as next_seq,
           greatest(0, 1000 * extract(epoch from lead(at) over following - at))::double precision as ms
         from (
           select sandbox_id, seq, at, "to" from transitions where team_id = ?
           order by at desc, sandbox_id desc, seq desc limit ${TRANSITIONS_LOOKED_AT}
         ) newest
         window following as (partition by sandbox_id order by seq)
       ) stays
       where next_seq = seq + 1
       group by state order by state`,
      [teamId],
    ),
  );
  return lines.map(({ state, count, p50, p95, p99 }) => ({
    state,
    count: Number(count),
    p50Ms: p50,
    p95Ms: p95,
    p99Ms: p99,
  }));
}
