import type { JSX } from 'preact';
import { dateTime, duration, timeOfDay } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import type { Column } from '../../parts/long-table.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import type { EventRow } from './feed.ts';

export const eventColumns: Column<EventRow>[] = [
  {
    id: 'at',
    title: 'Time',
    rem: 6.25,
    isMono: true,
    narrow: 2,
    cell: ({ at }) => (
      <time dateTime={at} title={dateTime(at)}>
        {timeOfDay(at)}
      </time>
    ),
  },
  {
    id: 'id',
    title: 'Sandbox',
    rem: 12,
    isMono: true,
    narrow: 3,
    cell: ({ id }) => <Link href={`/visualizer/sandbox/${id}`}>{id}</Link>,
  },
  { id: 'seq', title: 'Seq', rem: 3, align: 'end', isMono: true, rank: 3, cell: ({ seq }) => seq },
  { id: 'to', title: 'State', rem: 12, narrow: 1, cell: ({ to }) => <StateMark state={to} /> },
  {
    id: 'from',
    title: 'From',
    rem: 11,
    rank: 5,
    cell: ({ from }) => <span class="dim">{from}</span>,
  },
  { id: 'cause', title: 'Cause', rem: 6, narrow: 4, cell: ({ cause }) => cause },
  { id: 'step', title: 'Step', rem: 8, rank: 4, cell: ({ step }) => step },
  {
    id: 'took',
    title: 'Took',
    rem: 5,
    align: 'end',
    isMono: true,
    rank: 1,
    cell: ({ stepMs }) => (stepMs === null ? '' : duration(stepMs)),
  },
  {
    id: 'error',
    title: 'Error',
    rem: 8,
    grow: 1,
    rank: 2,
    cell: ({ error }) => error && <ErrorText error={error} />,
  },
];

function ErrorText({ error }: { error: NonNullable<EventRow['error']> }): JSX.Element {
  const { code, detail, causes = [] } = error;
  return (
    <span class="event-error" title={[detail, ...causes].join('\n↳ ')}>
      ✕ <code>{code}</code> {detail}
    </span>
  );
}
