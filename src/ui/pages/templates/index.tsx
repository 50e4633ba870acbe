import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { useLoaded } from '../../lib/load.ts';
import { may } from '../../lib/me.ts';
import type { Template } from '../../lib/types.ts';
import { useKnownOrder } from '../../lib/use-known-order.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { LongTable } from '../../parts/long-table.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { BuildForm } from './build-form.tsx';
import { deleteTemplateCall } from './calls.ts';
import { templateColumns } from './columns.tsx';
import './templates.css';

/** Others build templates, too, and the records hear of one some seconds after its host has it. */
const EVERY_MS = 5_000;

/** What sandboxes can be made from: the templates of the team and of the platform. */
export function Templates(): JSX.Element {
  const { data, problem, isLoading, reload } = useLoaded(
    (signal) => request<{ templates: Template[] }>('GET', '/v1/templates', { signal }),
    [],
    { everyMs: EVERY_MS },
  );
  const rows = useKnownOrder(data?.templates ?? [], keyOf);
  const isBuilding = useSignal(false);
  const toDelete = useSignal<Template | null>(null);
  return (
    <section class="page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1}>Templates</h1>
        {may('write') && (
          <button
            type="button"
            data-look={isBuilding.value ? undefined : 'primary'}
            aria-expanded={isBuilding.value}
            onClick={() => {
              isBuilding.value = !isBuilding.value;
            }}
          >
            {isBuilding.value ? 'Close the form' : 'New template'}
          </button>
        )}
      </div>
      {isBuilding.value && <BuildForm onDone={reload} />}
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <LongTable
        label="Templates"
        columns={templateColumns({
          onDelete: (template) => {
            toDelete.value = template;
          },
        })}
        rows={rows}
        keyOf={keyOf}
        empty={!data && isLoading ? 'Asking the server …' : 'There is no template.'}
      />
      {toDelete.value && (
        <ConfirmDialog
          title={`Delete ${toDelete.value.name}`}
          label="Delete"
          call={deleteTemplateCall(toDelete.value)}
          onClose={() => {
            toDelete.value = null;
          }}
          onDone={reload}
        >
          Sandboxes that were made from it stay. One whose disk stands on its image keeps it from being
          deleted.
        </ConfirmDialog>
      )}
    </section>
  );
}

function keyOf({ owner, name }: Template): string {
  return `${owner} ${name}`;
}
