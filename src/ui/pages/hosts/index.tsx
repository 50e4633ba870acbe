import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { request } from '../../lib/api.ts';
import { useLoaded } from '../../lib/load.ts';
import { location } from '../../lib/router.tsx';
import type { HostInfo } from '../../lib/types.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { HostCard } from './host-card.tsx';
import { HostPage } from './host-page.tsx';
import './hosts.css';

/** Hosts write their entry again every few seconds. */
const EVERY_MS = 5_000;

/** The hosts that live, or one of them. */
export function Hosts(): JSX.Element {
  const id = location.value.path.split('/')[2];
  const { data, problem, reload } = useLoaded(
    (signal) => request<{ hosts: HostInfo[] }>('GET', '/v1/admin/hosts', { signal }),
    [],
    { everyMs: EVERY_MS },
  );
  const known = useKnown(data?.hosts ?? []);
  const isGone = (hostId: string): boolean =>
    data !== undefined && !data.hosts.some(({ host_id }) => host_id === hostId);
  if (id)
    return (
      <HostPage
        key={id}
        id={id}
        host={known.find(({ host_id }) => host_id === id)}
        isGone={isGone(id)}
        isKnown={data !== undefined}
        problem={problem}
        onRetry={reload}
      />
    );
  return (
    <section class="page">
      <div class="page-head">
        <h1 tabIndex={-1}>Hosts</h1>
        <span class="dim">{data && `${data.hosts.length} in the directory`}</span>
      </div>
      {problem && <ProblemNote problem={problem} onRetry={reload} />}
      <div class="host-cards">
        {known.map((host) => (
          <HostCard key={host.host_id} host={host} isGone={isGone(host.host_id)} />
        ))}
      </div>
      {!problem && data && known.length === 0 && <p class="empty">No host is there.</p>}
    </section>
  );
}

/** All hosts that were heard of since the page was opened: one that is gone keeps its place, and a new one comes behind the others. */
function useKnown(hosts: readonly HostInfo[]): HostInfo[] {
  const { current: known } = useRef(new Map<string, HostInfo>());
  for (const host of hosts) known.set(host.host_id, host);
  return [...known.values()];
}
