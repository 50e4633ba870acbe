import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { dateTime } from '../../lib/format.ts';
import { useLoaded } from '../../lib/load.ts';
import { now } from '../../lib/now.ts';
import type { ApiKey } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { type Column, LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { revokeKeyCall } from './calls.ts';
import { NewKeyForm } from './new-key-form.tsx';

/** The keys of a team, without their secrets. */
export function Keys({ team }: { team: string }): JSX.Element {
  const { data, problem, isLoading, reload } = useLoaded(
    (signal) => request<{ keys: ApiKey[] }>('GET', `/v1/admin/teams/${team}/keys`, { signal }),
    [team],
  );
  const toRevoke = useSignal<ApiKey | null>(null);
  return (
    <>
      <NewKeyForm team={team} onDone={reload} />
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <LongTable
        label="Keys of the team"
        columns={columnsOf((key) => {
          toRevoke.value = key;
        })}
        rows={data?.keys ?? []}
        keyOf={({ id }) => id}
        empty={isLoading ? 'Asking the server …' : 'The team has no key.'}
      />
      {toRevoke.value && (
        <ConfirmDialog
          title={`Revoke ${toRevoke.value.name}`}
          label="Revoke"
          call={revokeKeyCall(team, toRevoke.value.id)}
          onClose={() => {
            toRevoke.value = null;
          }}
          onDone={reload}
        >
          It works here no longer from now on, and through other edges for up to 30 seconds.
        </ConfirmDialog>
      )}
    </>
  );
}

/** Whether a key still works, in a word. */
function stateOf({ revoked_at, expires_at }: ApiKey): 'works' | 'revoked' | 'expired' {
  if (revoked_at !== null) return 'revoked';
  return expires_at !== null && Date.parse(expires_at) <= now.value ? 'expired' : 'works';
}

function columnsOf(onRevoke: (key: ApiKey) => void): Column<ApiKey>[] {
  return [
    { id: 'name', title: 'Name', rem: 7, grow: 1, narrow: 1, cell: ({ name }) => <b>{name}</b> },
    {
      id: 'prefix',
      title: 'Begins with',
      rem: 6,
      isMono: true,
      narrow: 3,
      cell: ({ prefix }) => prefix,
    },
    { id: 'scopes', title: 'Scopes', rem: 10, rank: 1, cell: ({ scopes }) => scopes.join(', ') },
    {
      id: 'state',
      title: 'State',
      rem: 6,
      narrow: 2,
      cell: (key) => <span data-works={stateOf(key) === 'works'}>{stateOf(key)}</span>,
    },
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
      id: 'used',
      title: 'Last used',
      rem: 5.25,
      align: 'end',
      isMono: true,
      rank: 3,
      cell: ({ last_used_at }) => (last_used_at === null ? 'never' : <Age at={last_used_at} />),
    },
    {
      id: 'expires',
      title: 'Expires',
      rem: 10,
      isMono: true,
      rank: 4,
      cell: ({ expires_at }) => (expires_at === null ? 'never' : dateTime(expires_at)),
    },
    { id: 'id', title: 'Id', rem: 17, isMono: true, rank: 5, cell: ({ id }) => id },
    {
      id: 'actions',
      title: 'Commands',
      rem: 5,
      narrow: 4,
      cell: (key) =>
        key.revoked_at === null && (
          <button
            type="button"
            data-size="row"
            aria-label={`Revoke ${key.name}`}
            onClick={() => onRevoke(key)}
          >
            Revoke
          </button>
        ),
    },
  ];
}
