import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { useLoaded } from '../../lib/load.ts';
import { may } from '../../lib/me.ts';
import { deleteSnapshotCall } from '../../lib/snapshot-calls.ts';
import type { Template } from '../../lib/types.ts';
import { useKnownOrder } from '../../lib/use-known-order.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { templateColumns } from '../templates/columns.tsx';
import '../templates/templates.css';
import { SnapshotForm } from './snapshot-form.tsx';

/** Others make snapshots, too. */
const EVERY_MS = 5_000;

/** Templates that were made from sandboxes of the team. */
export function Snapshots(): JSX.Element {
  const { data, problem, isLoading, reload } = useLoaded(
    (signal) => request<{ snapshots: Template[] }>('GET', '/v1/snapshots', { signal }),
    [],
    { everyMs: EVERY_MS },
  );
  const rows = useKnownOrder(data?.snapshots ?? [], keyOf);
  const toDelete = useSignal<Template | null>(null);
  return (
    <section class="page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1}>Snapshots</h1>
      </div>
      {may('write') && <SnapshotForm onDone={reload} />}
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <LongTable
        label="Snapshots"
        columns={templateColumns({
          onDelete: (snapshot) => {
            toDelete.value = snapshot;
          },
        }).filter(({ id }) => id !== 'owner')}
        rows={rows}
        keyOf={keyOf}
        empty={!data && isLoading ? 'Asking the server …' : 'There is no snapshot.'}
      />
      {toDelete.value && (
        <ConfirmDialog
          title={`Delete ${toDelete.value.name}`}
          label="Delete"
          call={deleteSnapshotCall(toDelete.value.name)}
          onClose={() => {
            toDelete.value = null;
          }}
          onDone={reload}
        >
          Sandboxes that were made from it stay.
        </ConfirmDialog>
      )}
    </section>
  );
}

function keyOf({ name }: Template): string {
  return name;
}
