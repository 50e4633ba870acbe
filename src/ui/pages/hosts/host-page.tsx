import type { JSX } from 'preact';
import { type Problem, request } from '../../lib/api.ts';
import { bytes } from '../../lib/format.ts';
import { useLoaded } from '../../lib/load.ts';
import { Link } from '../../lib/router.tsx';
import type { Holdings, HostInfo } from '../../lib/types.ts';
import { ProblemNote } from '../../parts/problem.tsx';
import { Devices, Leaks, Loops, Slots } from './holdings.tsx';
import { HostFacts, HostMeters, HostState } from './host-card.tsx';

/** One host: what it is, and everything that it holds of the machine. */
export function HostPage({
  id,
  host,
  isGone,
  isKnown,
  problem,
  onRetry,
}: {
  id: string;
  /** Its entry in the directory, or the last that it had. */
  host: HostInfo | undefined;
  isGone: boolean;
  /** Whether the directory was told. */
  isKnown: boolean;
  /** Why the directory is not told. */
  problem: Problem | undefined;
  onRetry: () => void;
}): JSX.Element {
  const holdings = useLoaded(
    (signal) => request<Holdings>('GET', `/v1/admin/hosts/${encodeURIComponent(id)}/holdings`, { signal }),
    [id],
  );
  return (
    <section class="page">
      <div class="page-head">
        <h1 tabIndex={-1} class="mono">
          {id}
        </h1>
        {host && <HostState state={isGone ? 'gone' : host.state} />}
        <div class="actions">
          <button type="button" onClick={holdings.reload} disabled={holdings.isLoading}>
            Look again
          </button>
          <Link class="button" href={`/visualizer/host/${id}`}>
            Host in visualizer
          </Link>
          <Link class="button" href={`/visualizer/loop-registry/${id}`}>
            Loop registry in visualizer
          </Link>
        </div>
      </div>
      {problem && <ProblemNote problem={problem} onRetry={onRetry} />}
      {isKnown && !host && !problem && (
        <p class="panel">The host is not in the directory: it does not run, or cannot be reached.</p>
      )}
      {holdings.problem && <ProblemNote problem={holdings.problem} onRetry={holdings.reload} />}
      <div class="host-columns">
        {host && (
          <section class="panel host-card" aria-label="What it is">
            <HostMeters host={host} />
            <HostFacts host={host} />
          </section>
        )}
        {!holdings.data && holdings.isLoading && <p class="panel dim">The host looks at its machine …</p>}
        {holdings.data && (
          <div class="host-holdings">
            <Leaks leaks={holdings.data.leaks} />
            <Slots slots={holdings.data.slots} />
            <Loops loops={holdings.data.loops} />
            <Devices devices={holdings.data.devices} />
            {host && <HostTemplates host={host} />}
          </div>
        )}
      </div>
    </section>
  );
}

function HostTemplates({ host }: { host: HostInfo }): JSX.Element {
  return (
    <section class="panel" aria-label="Templates">
      <h2>Templates</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Kind</th>
            <th scope="col">Booted states</th>
            <th scope="col" class="number">
              On disk
            </th>
          </tr>
        </thead>
        <tbody>
          {host.templates.map(({ id, name, kind, warm, allocated_bytes }) => (
            <tr key={id}>
              <td class="mono">{name}</td>
              <td>{kind}</td>
              <td class="mono">{warm.join(' ')}</td>
              <td class="number">{bytes(allocated_bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
