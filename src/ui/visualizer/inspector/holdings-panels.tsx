import type { JSX } from 'preact';
import { age, duration, timeOfDay } from '../../lib/format.ts';
import { now } from '../../lib/now.ts';
import type { ActorKind, Moment } from '../../lib/types.ts';

/** What kinds of things of a host the ledger of a sandbox names, in the order in which they are acquired. */
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

/** What the actor holds of its host. Each thing that a sandbox can hold has its place, also while it does not hold it. */
export function LedgerPanel({
  kind: actor,
  moment,
  at,
  isLive,
}: HoldingProps & { kind: ActorKind }): JSX.Element {
  const held = moment?.ledger ?? [];
  const places = actor === 'sandbox' ? Object.keys(HELD) : [];
  const kinds = [...new Set([...places, ...held.map(({ kind }) => kind)])];
  const sinceOf = (kind: string): string | undefined => held.find((one) => one.kind === kind)?.since;
  return (
    <section class="panel" data-panel="ledger" aria-labelledby="ledger-title">
      <h2 id="ledger-title">Holds</h2>
      {!moment && <p class="quiet">Not recorded for this moment.</p>}
      {moment && kinds.length === 0 && <p class="quiet">Nothing of its host.</p>}
      {moment && kinds.length > 0 && (
        <ol class="holdings">
          {kinds.map((kind) => (
            <Holding
              key={kind}
              kind={kind}
              since={sinceOf(kind)}
              untilMs={isLive ? now.value : Date.parse(at)}
            />
          ))}
        </ol>
      )}
    </section>
  );
}

function Holding({
  kind,
  since,
  untilMs,
}: {
  kind: string;
  /** Undefined when it is not held. */
  since: string | undefined;
  untilMs: number;
}): JSX.Element {
  if (since === undefined) return <li aria-hidden="true">{'\u00a0'}</li>;
  return (
    <li>
      <code>{kind}</code>
      <span class="quiet cut">{HELD[kind] ?? ''}</span>
      <span class="mono end">{age(untilMs - Date.parse(since))}</span>
    </li>
  );
}

/** Which timers are armed. */
export function TimersPanel({ moment, at, isLive }: HoldingProps): JSX.Element {
  const atMs = isLive ? now.value : Date.parse(at);
  return (
    <section class="panel" data-panel="timers" aria-labelledby="timers-title">
      <h2 id="timers-title">Timers</h2>
      <ol class="holdings timers">
        {(moment?.timers ?? []).length === 0 && <li class="quiet">none</li>}
        {moment?.timers.map((timer) => (
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
