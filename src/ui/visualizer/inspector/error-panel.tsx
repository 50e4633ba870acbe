import type { JSX } from 'preact';
import { duration, timeOfDay } from '../../lib/format.ts';
import type { ActorModel } from '../actor/model.ts';
import type { Explanation } from '../history/explanation.ts';

/** The last operation that had failed by the moment that is looked at, in one line; a press looks at it. */
export function LastFailure({ model }: { model: ActorModel }): JSX.Element {
  const last = model.lastExplanation.value;
  if (!last) return <span class="quiet">nothing</span>;
  const text = `${last.operation} at ${timeOfDay(last.failed.at)}: ${last.error.code}`;
  return (
    <button type="button" class="link cut" title={text} onClick={() => model.goTo(last.index)}>
      ✕ {text}
    </button>
  );
}

/**
 * Why the operation that is looked at failed: where, in which step, for what reasons, and which way it took back. It stands at the lower
 * edge, so that nothing moves when it comes.
 */
export function ErrorPanel({ model }: { model: ActorModel }): JSX.Element | null {
  const explanation = model.explanation.value;
  return explanation && <Why explanation={explanation} model={model} />;
}

function Why({ explanation, model }: { explanation: Explanation; model: ActorModel }): JSX.Element {
  const { operation, index, failed, error, back, later, open } = explanation;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and is moved by the keyboard
    <section class="panel panel-error" data-panel="error" aria-labelledby="error-title" tabIndex={0}>
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
