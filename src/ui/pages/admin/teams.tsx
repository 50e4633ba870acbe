import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { mib } from '../../lib/format.ts';
import { useLoaded } from '../../lib/load.ts';
import { Link } from '../../lib/router.tsx';
import { send } from '../../lib/send.ts';
import type { Quota, Team } from '../../lib/types.ts';
import { useSending } from '../../lib/use-sending.ts';
import { Age } from '../../parts/age.tsx';
import { type Column, LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { createTeamCall } from './calls.ts';

/** All teams, with what they have of what they may have. */
export function Teams(): JSX.Element {
  const { data, problem, isLoading, reload } = useLoaded((signal) =>
    request<{ teams: Team[] }>('GET', '/v1/admin/teams', { signal }),
  );
  return (
    <>
      <NewTeam onDone={reload} />
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <LongTable
        label="Teams"
        columns={columns}
        rows={data?.teams ?? []}
        keyOf={({ id }) => id}
        empty={isLoading ? 'Asking the server …' : 'There is no team.'}
      />
    </>
  );
}

function NewTeam({ onDone }: { onDone: () => void }): JSX.Element {
  const name = useSignal('');
  const { isSending, problem, run } = useSending();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    await run(async () => {
      await send(createTeamCall(name.peek().trim()));
      name.value = '';
      onDone();
    });
  };
  return (
    <form class="panel" onSubmit={submit} aria-label="Make a team">
      <div class="admin-line">
        <label>
          Name of a new team
          <input
            required
            maxLength={128}
            value={name.value}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={isSending.value}>
          Make the team
        </button>
      </div>
      {problem.value && <ProblemNote problem={problem.value} />}
    </form>
  );
}

const columns: Column<Team>[] = [
  {
    id: 'name',
    title: 'Name',
    rem: 8,
    grow: 1,
    narrow: 1,
    cell: ({ id, name }) => <Link href={`/admin?team=${id}`}>{name}</Link>,
  },
  share('sandboxes', 'Sandboxes', String, { narrow: 2 }),
  share('vcpus', 'vCPUs', String, { rank: 1 }),
  share('memory_mb', 'Memory', mib, { narrow: 4 }),
  share('disk_mb', 'Disks', mib, { rank: 3 }),
  {
    id: 'age',
    title: 'Age',
    rem: 5.25,
    align: 'end',
    isMono: true,
    rank: 2,
    cell: ({ created_at }) => <Age at={created_at} />,
  },
  {
    id: 'id',
    title: 'Id',
    rem: 17,
    isMono: true,
    narrow: 3,
    rank: 4,
    cell: ({ id }) => id,
  },
];

/** How much a team has of what its quota allows. */
function share(
  limit: keyof Quota,
  title: string,
  write: (value: number) => string,
  place: Pick<Column<Team>, 'rank' | 'narrow'>,
): Column<Team> {
  return {
    id: limit,
    title,
    rem: 11,
    align: 'end',
    isMono: true,
    ...place,
    cell: ({ usage, quota }) => {
      const most = quota[limit];
      return (
        <>
          {write(usage[limit])}
          <span class="dim">{most === null ? '' : ` of ${write(most)}`}</span>
        </>
      );
    },
  };
}
