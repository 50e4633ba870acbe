import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { useLoaded } from '../../lib/load.ts';
import { Link } from '../../lib/router.tsx';
import type { AdminTemplate } from '../../lib/types.ts';
import { type Column, LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { ageColumn, allocatedColumn } from '../templates/columns.tsx';

const EVERY_MS = 5_000;

/** The templates and snapshots of all teams. */
export function AllTemplates(): JSX.Element {
  const { data, problem, isLoading, reload } = useLoaded(
    (signal) => request<{ templates: AdminTemplate[] }>('GET', '/v1/admin/templates', { signal }),
    [],
    { everyMs: EVERY_MS },
  );
  return (
    <>
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <LongTable
        label="Templates of all teams"
        columns={columns}
        rows={data?.templates ?? []}
        keyOf={({ team_id, name }) => `${team_id} ${name}`}
        empty={!data && isLoading ? 'Asking the server …' : 'There is no template.'}
      />
    </>
  );
}

const columns: Column<AdminTemplate>[] = [
  {
    id: 'name',
    title: 'Name',
    rem: 8,
    grow: 1,
    isMono: true,
    narrow: 1,
    cell: ({ name }) => <b>{name}</b>,
  },
  {
    id: 'kind',
    title: 'Kind',
    rem: 10.5,
    narrow: 3,
    cell: ({ kind, memory }) => (memory ? `${kind} with memory` : kind),
  },
  {
    id: 'team',
    title: 'Team',
    rem: 17,
    isMono: true,
    rank: 2,
    cell: ({ team_id, owner }) =>
      owner === 'platform' ? 'platform' : <Link href={`/admin?team=${team_id}`}>{team_id}</Link>,
  },
  {
    id: 'host',
    title: 'Host',
    rem: 7,
    isMono: true,
    narrow: 4,
    cell: ({ host_id }) => <Link href={`/hosts/${host_id}`}>{host_id}</Link>,
  },
  allocatedColumn,
  ageColumn,
];
