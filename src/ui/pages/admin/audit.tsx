import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useCallback } from 'preact/hooks';
import { ApiError, type Problem, request } from '../../lib/api.ts';
import { dateTime } from '../../lib/format.ts';
import type { AuditEntry } from '../../lib/types.ts';
import { type Column, LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';

const PAGE_SIZE = 100;
const KEPT = 5_000;

/** Who did what: the requests that could change something, newest first. */
export function Audit(): JSX.Element {
  const entries = useSignal<readonly AuditEntry[]>([]);
  const next = useSignal<string | null>('');
  const isLoading = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);
  const onEnd = useCallback(async (): Promise<void> => {
    const cursor = next.peek();
    if (cursor === null || isLoading.peek() || entries.peek().length >= KEPT) return;
    isLoading.value = true;
    try {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
      const page = await request<{ entries: AuditEntry[]; next_cursor: string | null }>(
        'GET',
        `/v1/admin/audit?${query}`,
      );
      entries.value = [...entries.peek(), ...page.entries];
      next.value = page.next_cursor;
      problem.value = undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.problem;
    } finally {
      isLoading.value = false;
    }
  }, [entries, next, isLoading, problem]);
  return (
    <>
      {problem.value && <ProblemNote problem={problem.value} onRetry={onEnd} />}
      <LongTable
        label="Audit log"
        columns={columns}
        rows={entries.value}
        keyOf={({ id }) => id}
        onEnd={onEnd}
        turn={entries.value.length}
        empty={next.value !== null ? 'Asking the server …' : 'Nobody has changed anything.'}
      />
    </>
  );
}

const columns: Column<AuditEntry>[] = [
  { id: 'at', title: 'Time', rem: 9.5, isMono: true, narrow: 3, cell: ({ at }) => dateTime(at) },
  { id: 'action', title: 'Action', rem: 10, narrow: 1, cell: ({ action }) => action },
  {
    id: 'target',
    title: 'Of',
    rem: 9,
    grow: 1,
    isMono: true,
    rank: 1,
    cell: ({ target }) => target,
  },
  {
    id: 'status',
    title: 'Status',
    rem: 4,
    isMono: true,
    narrow: 2,
    cell: ({ status }) => (
      <span class="request-status" data-good={status < 400}>
        {status < 400 ? status : `✕ ${status}`}
      </span>
    ),
  },
  {
    id: 'code',
    title: 'Error',
    rem: 13,
    isMono: true,
    rank: 2,
    cell: ({ code }) => code,
  },
  { id: 'address', title: 'From', rem: 8, isMono: true, narrow: 4, cell: ({ address }) => address },
  { id: 'team', title: 'Team', rem: 17, isMono: true, rank: 3, cell: ({ team_id }) => team_id },
  { id: 'key', title: 'Key', rem: 17, isMono: true, rank: 4, cell: ({ key_id }) => key_id },
];
