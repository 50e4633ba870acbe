import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { mib } from '../../lib/format.ts';
import { useLoaded } from '../../lib/load.ts';
import { navigate } from '../../lib/router.tsx';
import { send } from '../../lib/send.ts';
import type { Quota, Team } from '../../lib/types.ts';
import { useSending } from '../../lib/use-sending.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { deleteTeamCall, updateTeamCall } from './calls.ts';
import { Keys } from './keys.tsx';

/** One team: its quota, its keys. */
export function TeamView({ id }: { id: string }): JSX.Element {
  const { data, problem, reload } = useLoaded(
    (signal) => request<Team>('GET', `/v1/admin/teams/${encodeURIComponent(id)}`, { signal }),
    [id],
  );
  const isDeleting = useSignal(false);
  return (
    <>
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      {data && <TeamForm key={data.id} team={data} onDone={reload} />}
      {data && <Keys team={data.id} />}
      {data && (
        <div class="actions">
          <button
            type="button"
            data-look="danger"
            onClick={() => {
              isDeleting.value = true;
            }}
          >
            Delete the team
          </button>
        </div>
      )}
      {data && isDeleting.value && (
        <ConfirmDialog
          title={`Delete the team ${data.name}`}
          label="Delete"
          call={deleteTeamCall(data.id)}
          onClose={() => {
            isDeleting.value = false;
          }}
          onDone={() => navigate('/admin')}
        >
          Its keys stop to work. A team that has sandboxes or templates is not deleted.
        </ConfirmDialog>
      )}
    </>
  );
}

const LIMITS: { name: keyof Quota; label: string }[] = [
  { name: 'sandboxes', label: 'Sandboxes' },
  { name: 'vcpus', label: 'vCPUs' },
  { name: 'memory_mb', label: 'Memory, MiB' },
  { name: 'disk_mb', label: 'Disks, MiB' },
];

function TeamForm({ team, onDone }: { team: Team; onDone: () => void }): JSX.Element {
  const { isSending, problem, run } = useSending();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const limit = (name: keyof Quota): number | null => {
      const text = String(form.get(name) ?? '');
      return text === '' ? null : Number(text);
    };
    const quota = {
      sandboxes: limit('sandboxes'),
      vcpus: limit('vcpus'),
      memory_mb: limit('memory_mb'),
      disk_mb: limit('disk_mb'),
    };
    await run(async () => {
      await send(updateTeamCall(team.id, { name: String(form.get('name')), quota }));
      onDone();
    });
  };
  return (
    <form class="panel" onSubmit={submit} aria-label={`Team ${team.name}`}>
      <p class="team-usage">
        <span class="mono">{team.id}</span>
        <span>
          has {team.usage.sandboxes} sandboxes, {team.usage.vcpus} vCPUs, {mib(team.usage.memory_mb)} memory,{' '}
          {mib(team.usage.disk_mb)} disks. It may have:
        </span>
      </p>
      <div class="fields">
        <label>
          Name
          <input name="name" required maxLength={128} defaultValue={team.name} />
        </label>
        {LIMITS.map(({ name, label }) => (
          <label key={name}>
            {label}
            <input
              name={name}
              type="number"
              min={0}
              placeholder="no limit"
              defaultValue={String(team.quota[name] ?? '')}
            />
          </label>
        ))}
        <div class="actions">
          <button type="submit" disabled={isSending.value}>
            Save
          </button>
        </div>
      </div>
      {problem.value && <ProblemNote problem={problem.value} />}
    </form>
  );
}
