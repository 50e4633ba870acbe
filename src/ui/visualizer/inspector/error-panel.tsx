import type { JSX } from 'preact';
import { duration, timeOfDay } from '../../lib/format.ts';
import type { ActorModel } from '../actor/model.ts';
import type { Explanation } from '../history/explanation.ts';

/**
 * Why the operation that is looked at failed: where, in which step, for what reasons, and which way it took back. When it did not
 * fail, it says which one did last.
 */
export function ErrorPanel({ model }: { model: ActorModel }): JSX.Element | null {
  const explanation = model.explanation.value;
  const last = model.lastExplanation.value;
  if (explanation) return <Why explanation={explanation} model={model} />;
  if (!last) return null;
  return (
    <section class="panel panel-earlier" data-panel="error" aria-label="Last failure">
      <button type="button" class="link" onClick={() => model.goTo(last.index)}>
        ✕ {last.operation} failed in {last.failed.from} at {timeOfDay(last.failed.at)}: {last.error.code}
      </button>
    </section>
  );
}

function Why({ explanation, model }: { explanation: Explanation; model: ActorModel }): JSX.Element {
  const { operation, index, failed, error, back, later, open } = explanation;
  return (
    <section class="panel panel-error" data-panel="error" aria-labelledby="error-title">
      <h2 id="error-title">
        ✕ {operation} failed in <code>{failed.from ?? 'its beginning'}</code>
      </h2>
      <p class="error-code">
        <code>{error.code}</code>
      </p>
      <p>{error.detail}</p>
      {error.causes && error.causes.length > 0 && (
        <ol class="causes" aria-label="Because">
          {error.causes.map((cause, depth) => (
            <li key={depth}>{cause}</li>
          ))}
        </ol>
      )}
      <dl class="facts">
        {failed.step !== null && (
          <>
            <dt>step</dt>
            <dd>
              <code>{failed.step}</code>
              {failed.step_duration_ms !== null && ` after ${duration(failed.step_duration_ms)}`}
            </dd>
          </>
        )}
        <dt>then</dt>
        <dd class="mono">
          {back.map((state, at) => (
            <span key={at}>
              {at > 0 && ' → '}
              {state}
            </span>
          ))}
          {open ? ' …' : ''}
        </dd>
        {failed.command_id !== null && (
          <>
            <dt>command</dt>
            <dd class="mono cut">{failed.command_id}</dd>
          </>
        )}
      </dl>
      {later.map((entry) => (
        <p key={entry.seq} class="error-later">
          On the way back <code>{entry.from}</code> failed, too: <code>{entry.error?.code}</code>{' '}
          {entry.error?.detail}
        </p>
      ))}
      {index !== model.index.value && (
        <button type="button" data-size="row" onClick={() => model.goTo(index)}>
          Look at that moment
        </button>
      )}
    </section>
  );
}
