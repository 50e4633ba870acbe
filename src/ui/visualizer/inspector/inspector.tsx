import type { ReadonlySignal } from '@preact/signals';
import type { JSX } from 'preact';
import { duration, timeOfDay } from '../../lib/format.ts';
import type { ActorKind, Inspection } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import { CommandButtons } from '../../parts/command-buttons.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import type { ActorModel } from '../actor/model.ts';
import { timeOf } from '../history/entries.ts';
import { ContextPanel } from './context-panel.tsx';
import { LastFailure } from './error-panel.tsx';
import { LedgerPanel, TimersPanel } from './holdings-panels.tsx';
import { StatePanel } from './state-panel.tsx';

/** What an actor is, holds and takes at the moment that is looked at, and why its operation failed when it did. */
export function Inspector({
  model,
  kind,
  id,
  team,
  selected,
}: {
  model: ActorModel;
  kind: ActorKind;
  id: string;
  /** The team that commands are sent for; null where none can be sent. */
  team: string | null;
  selected: ReadonlySignal<string | null>;
}): JSX.Element {
  const entry = model.entry.value;
  const isLive = model.isLive.value;
  if (!entry) return <p class="empty">Nothing is known of it yet.</p>;
  return (
    <>
      <section class="panel" aria-label="State">
        <p class="inspector-state">
          {kind === 'sandbox' ? <StateMark state={entry.to} /> : <b>{entry.to}</b>}
        </p>
        <dl class="facts">
          <Since model={model} entry={entry} />
          <dt>by</dt>
          <dd class="cut">
            <code>{entry.refused ?? entry.cause}</code>
            {entry.refused !== null && ' (refused)'}
          </dd>
          <dt>seq</dt>
          <dd class="mono">
            {entry.seq}
            {entry.execution !== null && ` in run ${entry.execution}`}
          </dd>
          {kind === 'sandbox' && (
            <>
              <dt>host</dt>
              <dd class="mono cut">{entry.host_id}</dd>
            </>
          )}
          <dt>failed</dt>
          <dd class="cut">
            <LastFailure model={model} />
          </dd>
        </dl>
      </section>
      {selected.value !== null && <StatePanel model={model} state={selected.value} />}
      <section class="panel" data-panel="allowed" aria-labelledby="allowed-title">
        <h2 id="allowed-title">Takes</h2>
        {isLive && team !== null ? (
          <CommandButtons target={{ team, id }} allowed={entry.allowed} />
        ) : (
          <p class="mono">{entry.allowed.length > 0 ? entry.allowed.join('  ') : 'no command'}</p>
        )}
      </section>
      <LedgerPanel kind={kind} moment={entry.moment} at={entry.at} isLive={isLive} />
      <TimersPanel moment={entry.moment} at={entry.at} isLive={isLive} />
      <ContextPanel
        entries={model.entries.value}
        moment={entry.moment}
        before={model.before.value?.moment ?? null}
      />
    </>
  );
}

/** Since when the state is, or how long it was. */
function Since({ model, entry }: { model: ActorModel; entry: Inspection }): JSX.Element {
  if (model.isLive.value)
    return (
      <>
        <dt>since</dt>
        <dd>
          <Age at={entry.at} />
        </dd>
      </>
    );
  const next = model.rows.value.slice(model.index.value + 1).find(({ spentMs }) => spentMs !== null);
  return (
    <>
      <dt>at</dt>
      <dd class="mono">
        {timeOfDay(entry.at)}
        {next && ` for ${duration(timeOf(next.entry) - timeOf(entry))}`}
      </dd>
    </>
  );
}
