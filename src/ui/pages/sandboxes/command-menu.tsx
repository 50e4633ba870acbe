import type { JSX } from 'preact';
import { request } from '../../lib/api.ts';
import type { Target } from '../../lib/commands.ts';
import { useLoaded } from '../../lib/load.ts';
import { Link } from '../../lib/router.tsx';
import type { Sandbox } from '../../lib/types.ts';
import { CommandButtons } from '../../parts/command-buttons.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { ProblemNote } from '../../parts/problem.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { noteSandbox } from './details.ts';

/** Everything that a sandbox takes now, as it says itself, from a key that may send it, and ways to what there is to see of it. */
export function CommandMenu({ target, onClose }: { target: Target; onClose: () => void }): JSX.Element {
  const { data, problem, reload } = useLoaded(
    (signal) => request<Sandbox>('GET', `/v1/sandboxes/${target.id}`, { signal }),
    [target.id],
  );
  return (
    <Dialog title={target.id} onClose={onClose}>
      <div class="command-menu">
        {problem && <ProblemNote problem={problem} onRetry={reload} />}
        {data && (
          <>
            <StateMark state={data.step ?? data.state} />
            <CommandButtons
              target={target}
              allowed={data.allowed}
              onDone={(_, answer) => {
                if (isSandbox(answer)) noteSandbox(answer);
                onClose();
              }}
            />
          </>
        )}
      </div>
      <div class="actions">
        <Link class="button" href={`/sandboxes/${target.id}`}>
          Details
        </Link>
        <Link class="button" href={`/visualizer/sandbox/${target.id}`}>
          Open in visualizer
        </Link>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function isSandbox(answer: unknown): answer is Sandbox {
  return typeof answer === 'object' && answer !== null && 'allowed' in answer;
}
