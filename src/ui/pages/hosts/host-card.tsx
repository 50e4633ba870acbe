import type { JSX } from 'preact';
import { mib } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import type { HostInfo } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';
import { Meter } from '../../parts/meter.tsx';

/** One host among others: what it is, has and uses. */
export function HostCard({ host, isGone }: { host: HostInfo; isGone: boolean }): JSX.Element {
  return (
    <article class="panel host-card" aria-label={host.host_id}>
      <div class="panel-head">
        <h2>
          <Link href={`/hosts/${host.host_id}`} class="mono">
            {host.host_id}
          </Link>
        </h2>
        <HostState state={isGone ? 'gone' : host.state} />
      </div>
      <HostMeters host={host} />
      <HostFacts host={host} />
    </article>
  );
}

/** A host's state: only `ready` takes new sandboxes, and one that is `gone` is in the directory no more. */
export function HostState({ state }: { state: HostInfo['state'] | 'gone' }): JSX.Element {
  return (
    <span class="host-state" data-ready={state === 'ready'}>
      <span aria-hidden="true">{state === 'ready' ? '●' : '◌'}</span> {state}
    </span>
  );
}

export function HostMeters({ host: { capacity, used } }: { host: HostInfo }): JSX.Element {
  return (
    <div class="host-meters">
      <Meter
        label="vCPUs"
        used={used.vcpus}
        total={capacity.vcpus}
        text={`${used.vcpus} of ${capacity.vcpus}`}
      />
      <Meter
        label="memory"
        used={used.memory_mb}
        total={capacity.memory_mb}
        text={`${mib(used.memory_mb)} of ${mib(capacity.memory_mb)}`}
      />
    </div>
  );
}

export function HostFacts({ host }: { host: HostInfo }): JSX.Element {
  return (
    <dl class="facts">
      <dt>sandboxes</dt>
      <dd class="mono">{host.used.sandboxes}</dd>
      <dt>disk free</dt>
      <dd class="mono">{mib(host.capacity.disk_free_mb)}</dd>
      <dt>vCPUs by</dt>
      <dd>{host.accelerator}</dd>
      <dt>disks by</dt>
      <dd>{host.disk_driver}</dd>
      <dt>monitor</dt>
      <dd>{host.vmm_driver}</dd>
      <dt>templates</dt>
      <dd class="mono">{host.templates.length}</dd>
      <dt>version</dt>
      <dd class="mono">{host.version}</dd>
      <dt>up for</dt>
      <dd>
        <Age at={host.started_at} />
      </dd>
      <dt>heard of</dt>
      <dd>
        <Age at={host.at} />
      </dd>
    </dl>
  );
}
