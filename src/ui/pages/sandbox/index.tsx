import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { request } from '../../lib/api.ts';
import { fleet } from '../../lib/live.ts';
import { useLoaded } from '../../lib/load.ts';
import { may } from '../../lib/me.ts';
import { Link, location } from '../../lib/router.tsx';
import type { Sandbox } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import { CommandButtons } from '../../parts/command-buttons.tsx';
import { CopyButton } from '../../parts/copy-button.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { Console } from './console.tsx';
import { History } from './history.tsx';
import { Properties } from './properties.tsx';
import './sandbox.css';

/** One sandbox: what it is and has, a console, and what happened to it. */
export function SandboxPage(): JSX.Element {
  const id = location.value.path.split('/')[2] ?? '';
  return <OneSandbox key={id} id={id} />;
}

function OneSandbox({ id }: { id: string }): JSX.Element {
  const seq = lastSeqOf(id);
  const { data, problem, reload } = useLoaded(
    (signal) => request<Sandbox>('GET', `/v1/sandboxes/${encodeURIComponent(id)}`, { signal }),
    [id],
  );
  const known = data?.seq ?? 0;
  useEffect(() => {
    if (seq > known) reload();
  }, [seq, known, reload]);
  const row = fleet.value.rows.get(id);
  const allowed = data && may('write') ? data.allowed : [];
  return (
    <section class="page sandbox-page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1} class="mono">
          {id}
        </h1>
        <CopyButton text={id} label="Copy id" />
        <span class="sandbox-state">
          {data && <StateMark state={row?.state ?? data.step ?? data.state} />}
          {data && <Age at={row?.since ?? data.updated_at} />}
        </span>
        <Link class="button" href={`/visualizer/sandbox/${id}`}>
          Open in visualizer
        </Link>
      </div>
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      {data && (
        <>
          <div class="sandbox-commands">
            <CommandButtons
              target={{ team: data.team_id, id }}
              allowed={allowed}
              without={['exec']}
              onDone={reload}
            />
          </div>
          <div class="sandbox-columns">
            <Properties sandbox={data} />
            <Console target={{ team: data.team_id, id }} canExec={allowed.includes('exec')} />
            <History id={id} seq={data.seq} />
          </div>
        </>
      )}
    </section>
  );
}

/** Number of the last transition that the stream has told of; 0 for none. */
function lastSeqOf(id: string): number {
  const { rows, changes } = fleet.value;
  return rows.get(id)?.seq ?? changes.findLast((change) => change.id === id)?.seq ?? 0;
}
