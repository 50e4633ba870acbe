import type { JSX } from 'preact';
import { bytes, mib } from '../../lib/format.ts';
import { may } from '../../lib/me.ts';
import { Link } from '../../lib/router.tsx';
import type { Template } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import type { Column } from '../../parts/long-table.tsx';

/** What a template takes on its host. */
export const allocatedColumn: Column<Pick<Template, 'allocated_bytes'>> = {
  id: 'allocated',
  title: 'On disk',
  rem: 5.25,
  align: 'end',
  isMono: true,
  narrow: 2,
  cell: ({ allocated_bytes }) => bytes(allocated_bytes),
};

export const ageColumn: Column<Pick<Template, 'created_at'>> = {
  id: 'age',
  title: 'Age',
  rem: 5.25,
  align: 'end',
  isMono: true,
  rank: 1,
  cell: ({ created_at }) => <Age at={created_at} />,
};

/** The columns of a list of templates, or of snapshots. */
export function templateColumns({
  onDelete,
}: {
  onDelete: (template: Template) => void;
}): Column<Template>[] {
  return [
    {
      id: 'name',
      title: 'Name',
      rem: 8,
      grow: 1,
      isMono: true,
      narrow: 1,
      cell: ({ name }) => <b>{name}</b>,
    },
    { id: 'owner', title: 'Owner', rem: 5, rank: 2, cell: ({ owner }) => owner },
    {
      id: 'kind',
      title: 'Kind',
      rem: 10.5,
      narrow: 3,
      cell: ({ kind, memory }) => (memory ? `${kind} with memory` : kind),
    },
    {
      id: 'vcpus',
      title: 'vCPU',
      rem: 2.5,
      align: 'end',
      isMono: true,
      rank: 3,
      cell: ({ vcpus }) => vcpus,
    },
    {
      id: 'memory',
      title: 'Memory',
      rem: 5,
      align: 'end',
      isMono: true,
      rank: 3,
      cell: ({ memory_mb }) => mib(memory_mb),
    },
    {
      id: 'disk',
      title: 'Disk',
      rem: 5,
      align: 'end',
      isMono: true,
      rank: 4,
      cell: ({ disk_size_mb }) => mib(disk_size_mb),
    },
    allocatedColumn,
    ageColumn,
    {
      id: 'programs',
      title: 'Programs',
      rem: 8,
      grow: 2,
      isMono: true,
      rank: 5,
      cell: programsOf,
    },
    {
      id: 'source',
      title: 'From',
      rem: 12,
      isMono: true,
      rank: 6,
      cell: ({ source_sandbox_id: id }) => id && <Link href={`/sandboxes/${id}`}>{id}</Link>,
    },
    {
      id: 'actions',
      title: 'Commands',
      rem: 7,
      narrow: 4,
      cell: (template) => <Actions template={template} onDelete={() => onDelete(template)} />,
    },
  ];
}

/** How programs run in a sandbox of it. */
function programsOf({ user, cwd, env, start_cmd }: Template): string {
  return [
    user !== null && `user ${user}`,
    cwd !== null && `in ${cwd}`,
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    start_cmd !== null && `$ ${start_cmd}`,
  ]
    .filter(Boolean)
    .join('  ');
}

function Actions({ template, onDelete }: { template: Template; onDelete: () => void }): JSX.Element {
  const { name, owner } = template;
  return (
    <span class="template-actions">
      <Link
        class="button"
        data-size="row"
        href={`/?template=${encodeURIComponent(name)}`}
        aria-label={`Use ${name}`}
      >
        Use
      </Link>
      {may(owner === 'platform' ? 'admin' : 'write') && (
        <button type="button" data-size="row" onClick={onDelete} aria-label={`Delete ${name}`}>
          Delete
        </button>
      )}
    </span>
  );
}
