import type { JSX } from 'preact';
import { age, duration, timeOfDay } from '../../lib/format.ts';
import { now } from '../../lib/now.ts';
import type { Moment } from '../../lib/types.ts';

/** What kinds of things of a host a ledger names. */
const HELD: Readonly<Record<string, string>> = {
  live: 'files it runs on',
  disk: 'attached disk',
  slot: 'network slot',
  vmm: 'virtual machine',
  snapshot: 'saved disk, memory',
};

interface HoldingProps {
  moment: Moment | null;
  /** When the moment was. */
  at: string;
  isLive: boolean;
}

/** What the actor holds of its host. */
export function LedgerPanel({ moment, at, isLive }: HoldingProps): JSX.Element {
  return (
    <section class="panel" data-panel="ledger" aria-labelledby="ledger-title">
      <h2 id="ledger-title">Holds</h2>
      {!moment && <p class="quiet">Not recorded for this moment.</p>}
      {moment?.ledger.length === 0 && <p class="quiet">Nothing of its host.</p>}
      {moment && moment.ledger.length > 0 && (
        <ol class="holdings">
          {moment.ledger.map(({ kind, since }) => (
            <li key={`${kind} ${since}`}>
              <code>{kind}</code>
              <span class="quiet">{HELD[kind] ?? ''}</span>
              <span class="mono end">{age((isLive ? now.value : Date.parse(at)) - Date.parse(since))}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** Which timers are armed; nothing where none is. */
export function TimersPanel({ moment, at, isLive }: HoldingProps): JSX.Element | null {
  if (!moment || moment.timers.length === 0) return null;
  const atMs = isLive ? now.value : Date.parse(at);
  return (
    <section class="panel" data-panel="timers" aria-labelledby="timers-title">
      <h2 id="timers-title">Timers</h2>
      <ol class="holdings">
        {moment.timers.map((timer) => (
          <li key={timer.name}>
            <code>{timer.name}</code>
            <span class="quiet">{timeOfDay(timer.at)}</span>
            <span class="mono end">in {duration(Math.max(0, Date.parse(timer.at) - atMs))}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
