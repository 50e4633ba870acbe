import type { JSX } from 'preact';
import type { Problem } from '../lib/api.ts';

/** Why something failed: its code, what the code means, and what happened. Said at once by screen readers. */
export function ProblemNote({ problem, onRetry }: { problem: Problem; onRetry?: () => void }): JSX.Element {
  return (
    <div class="problem" role="alert">
      <p>
        <code>{problem.code}</code> <b>{problem.title}</b>
      </p>
      {problem.detail !== problem.title && <p>{problem.detail}</p>}
      {onRetry && (
        <p>
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}
