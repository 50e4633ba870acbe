import type { JSX } from 'preact';
import { duration, timeOfDay } from '../lib/format.ts';
import type { Transition } from '../lib/types.ts';
import { StateShape } from './state-mark.tsx';

/** What happened to one sandbox, newest first: when, to which state, why, and how long the step took that ended. */
export function TransitionList({ transitions }: { transitions: readonly Transition[] }): JSX.Element {
  return (
    <ol class="transitions" reversed>
      {transitions.map((transition) => (
        <TransitionItem key={transition.seq} transition={transition} />
      ))}
    </ol>
  );
}

function TransitionItem({ transition }: { transition: Transition }): JSX.Element {
  const { seq, at, to, cause, step, step_duration_ms, error } = transition;
  return (
    <li data-failed={error !== null}>
      <span class="mono dim end">{seq}</span>
      <time class="mono dim" dateTime={at}>
        {timeOfDay(at)}
      </time>
      <span class="transition-state">
        <StateShape state={to} />
        {to}
      </span>
      <span class="cut dim" title={step ?? undefined}>
        {cause}
      </span>
      <span class="mono end">{step_duration_ms === null ? '' : duration(step_duration_ms)}</span>
      {error && (
        <div class="transition-error">
          <p>
            ✕ <code>{error.code}</code> {error.detail}
          </p>
          {error.causes?.map((text) => (
            <p key={text} class="dim">
              ↳ {text}
            </p>
          ))}
        </div>
      )}
    </li>
  );
}
