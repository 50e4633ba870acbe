import type { JSX } from 'preact';
import type { DrawnState, MachineDrawing } from '../../../machines/drawing.ts';
import { isWithin } from '../../../machines/match.ts';
import { duration } from '../../lib/format.ts';
import type { Usual } from '../../lib/types.ts';
import type { ActorModel } from '../actor/model.ts';
import { timesIn } from '../history/times.ts';

/** A state of the machine, in words: what it does, and where it leads. */
export function StateFacts({ drawing, id }: { drawing: MachineDrawing; id: string }): JSX.Element | null {
  const state = drawing.states.find((one) => one.id === id);
  if (!state) return null;
  const ways = drawing.edges.flatMap(({ members }) => members).filter(({ from }) => isWithin(id, from));
  return (
    <>
      <p>{natureOf(state)}</p>
      {ways.length > 0 && (
        <ul class="ways" aria-label="Leads to">
          {ways.map(({ from, cause, to, guard }) => (
            <li key={`${from} ${cause} ${to} ${guard}`}>
              <code>{cause}</code>
              {guard !== null && <span class="quiet"> if {guard}</span>} → <code>{to}</code>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** The state that a person has chosen in the graph, and how often this actor was in it. */
export function StatePanel({ model, state }: { model: ActorModel; state: string }): JSX.Element {
  const times = timesIn(model.rows.value, state);
  return (
    <section class="panel" data-panel="state" aria-labelledby="state-title">
      <h2 id="state-title">
        State <code>{state}</code>
      </h2>
      <StateFacts drawing={model.drawing} id={state} />
      <p class="state-times quiet">
        {times.count === 0
          ? 'It was not left yet here.'
          : `Left ${times.count} times: half within ${duration(times.median)}, the longest ${duration(times.longest)}.`}
      </p>
    </section>
  );
}

/** How long sandboxes usually stay in a state. */
export function UsualTimes({ usual }: { usual: Usual | undefined }): JSX.Element {
  if (!usual) return <p class="quiet">How long it usually takes is not known.</p>;
  return (
    <dl class="facts">
      <dt>p50</dt>
      <dd class="mono">{duration(usual.p50_ms)}</dd>
      <dt>p95</dt>
      <dd class="mono">{duration(usual.p95_ms)}</dd>
      <dt>p99</dt>
      <dd class="mono">{duration(usual.p99_ms)}</dd>
      <dt>of</dt>
      <dd class="mono">{usual.count}</dd>
    </dl>
  );
}

function natureOf({ step, tags, kind, failure }: DrawnState): string {
  const parts = [
    kind === 'final' ? 'The end.' : step ? `Carries out ${step}.` : 'Waits.',
    tags.length > 0 && `Tags: ${tags.join(', ')}.`,
    failure && 'Only reached after a failure.',
  ];
  return parts.filter(Boolean).join(' ');
}
