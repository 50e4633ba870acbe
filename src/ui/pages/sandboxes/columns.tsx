import type { ComponentChildren, JSX } from 'preact';
import { bytes, mib } from '../../lib/format.ts';
import { fleet } from '../../lib/live.ts';
import { Link } from '../../lib/router.tsx';
import type { FleetRow, Sandbox } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import type { Column } from '../../parts/long-table.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { sandboxes, usedBytes } from './details.ts';
import { RowActions } from './row-actions.tsx';
import type { Order, SortKey } from './view.ts';

/** The columns of the list. A row is an id: what a cell shows is looked up when it is drawn, so that it is always the newest. */
export function columnsOf(order: Order, onSort: (key: SortKey) => void): Column<string>[] {
  const sorted = (key: SortKey): Pick<Column<string>, 'sort' | 'onSort'> => ({
    sort: order.key !== key ? 'none' : order.isDescending ? 'descending' : 'ascending',
    onSort: () => onSort(key),
  });
  return [
    {
      id: 'state',
      title: 'State',
      rem: 11.5,
      narrow: 1,
      cell: live(({ state }) => <StateMark state={state} />),
      ...sorted('state'),
    },
    {
      id: 'since',
      title: 'For',
      rem: 5.25,
      align: 'end',
      isMono: true,
      narrow: 2,
      cell: live(({ since }) => <Age at={since} />),
      ...sorted('since'),
    },
    {
      id: 'id',
      title: 'Id',
      rem: 12,
      isMono: true,
      narrow: 3,
      cell: (id) => <Link href={`/sandboxes/${id}`}>{id}</Link>,
      ...sorted('id'),
    },
    {
      id: 'template',
      title: 'Template',
      rem: 5.5,
      grow: 1,
      rank: 1,
      cell: live(({ template }) => template),
      ...sorted('template'),
    },
    {
      id: 'vcpus',
      title: 'vCPU',
      rem: 2.5,
      align: 'end',
      isMono: true,
      rank: 4,
      cell: known(({ vcpus }) => vcpus),
    },
    {
      id: 'memory',
      title: 'Memory',
      rem: 5,
      align: 'end',
      isMono: true,
      rank: 3,
      cell: known(({ memory_mb }) => mib(memory_mb)),
    },
    {
      id: 'disk',
      title: 'Disk',
      rem: 5,
      align: 'end',
      isMono: true,
      rank: 5,
      cell: known(({ disk_size_mb }) => mib(disk_size_mb)),
    },
    {
      id: 'used',
      title: 'On disk',
      rem: 5.25,
      align: 'end',
      isMono: true,
      rank: 2,
      cell: (id) => textOr(usedBytes.value.get(id), bytes),
      ...sorted('used'),
    },
    {
      id: 'host',
      title: 'Host',
      rem: 6.5,
      isMono: true,
      rank: 7,
      cell: live(({ host_id }) => host_id),
      ...sorted('host'),
    },
    {
      id: 'execution',
      title: 'Run',
      rem: 2.5,
      align: 'end',
      isMono: true,
      rank: 9,
      cell: live(({ execution }) => execution),
    },
    {
      id: 'created',
      title: 'Age',
      rem: 5.25,
      align: 'end',
      isMono: true,
      rank: 8,
      cell: known(({ created_at }) => <Age at={created_at} />),
      ...sorted('created'),
    },
    {
      id: 'error',
      title: 'Last error',
      rem: 6,
      grow: 2,
      isMono: true,
      rank: 6,
      cell: live((row) => <LastError row={row} />),
    },
    {
      id: 'metadata',
      title: 'Metadata',
      rem: 6,
      grow: 3,
      isMono: true,
      rank: 10,
      cell: known(({ metadata }) =>
        Object.entries(metadata)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ),
    },
    {
      id: 'actions',
      title: 'Commands',
      rem: 10.25,
      narrow: 4,
      cell: live((row) => <RowActions row={row} />),
    },
  ];
}

/** A cell of what the stream tells: of a sandbox that is gone and still stands there, what it told last. */
function live(draw: (row: FleetRow) => ComponentChildren): (id: string) => ComponentChildren {
  return (id) => {
    const { rows, changes } = fleet.value;
    const row = rows.get(id) ?? changes.findLast((change) => change.id === id);
    return row && draw(row);
  };
}

/** A cell of what the stream does not tell. */
function known(draw: (sandbox: Sandbox) => ComponentChildren): (id: string) => ComponentChildren {
  return (id) => textOr(sandboxes.value.get(id), draw);
}

function textOr<T>(value: T | undefined, draw: (value: T) => ComponentChildren): ComponentChildren {
  return value === undefined ? <span class="dim">·</span> : draw(value);
}

function LastError({ row: { error_code, tries } }: { row: FleetRow }): JSX.Element | null {
  if (error_code === null) return null;
  return (
    <span class="row-error" title={error_code}>
      {error_code}
      {tries !== null && tries > 0 && <span class="dim"> try {tries}</span>}
    </span>
  );
}
