import type { ComponentChildren, JSX } from 'preact';
import { request } from '../../lib/api.ts';
import { bytes, dateTime, mib } from '../../lib/format.ts';
import { useLoaded } from '../../lib/load.ts';
import { may } from '../../lib/me.ts';
import { Link } from '../../lib/router.tsx';
import type { Sandbox, Usage } from '../../lib/types.ts';
import { Age } from '../../parts/age.tsx';

/** What a sandbox is made of and made from. */
export function Properties({ sandbox }: { sandbox: Sandbox }): JSX.Element {
  const { id, last_error } = sandbox;
  const usage = useLoaded((signal) => request<Usage>('GET', '/v1/usage', { signal }), [id, sandbox.state]);
  const used = usage.data?.sandboxes.find((one) => one.id === id)?.allocated_bytes;
  return (
    <section class="panel sandbox-properties" aria-labelledby="properties">
      <h2 id="properties">Properties</h2>
      <dl class="facts">
        <Fact name="template">{sandbox.template}</Fact>
        <Fact name="vCPUs">
          <span class="mono">{sandbox.vcpus}</span>
        </Fact>
        <Fact name="memory">
          <span class="mono">{mib(sandbox.memory_mb)}</span>
        </Fact>
        <Fact name="disk">
          <span class="mono">{mib(sandbox.disk_size_mb)}</span>
        </Fact>
        <Fact name="on disk">
          <span class="mono">{used === undefined ? '·' : bytes(used)}</span>
        </Fact>
        <Fact name="host">
          {may('admin') ? (
            <Link class="mono" href={`/hosts/${sandbox.host_id}`}>
              {sandbox.host_id}
            </Link>
          ) : (
            <span class="mono">{sandbox.host_id}</span>
          )}
        </Fact>
        <Fact name="run">
          <span class="mono">{sandbox.execution}</span>
        </Fact>
        <Fact name="transition">
          <span class="mono">{sandbox.seq}</span>
        </Fact>
        <Fact name="timeout">
          {sandbox.timeout_s === 0 ? 'never' : `${sandbox.timeout_s} s, then ${sandbox.on_timeout}`}
        </Fact>
        <Fact name="expires">{sandbox.expires_at === null ? 'never' : dateTime(sandbox.expires_at)}</Fact>
        <Fact name="auto-resume">{sandbox.auto_resume ? 'yes' : 'no'}</Fact>
        <Fact name="created">
          <span class="mono">{dateTime(sandbox.created_at)}</span>
        </Fact>
        <Fact name="age">
          <Age at={sandbox.created_at} />
        </Fact>
        {Object.entries(sandbox.metadata).map(([name, value]) => (
          <Fact key={name} name={name}>
            <span class="mono">{value}</span>
          </Fact>
        ))}
        {/* The last one: it may have any length. */}
        <Fact name="last error">{last_error ? <ErrorText {...last_error} /> : 'none'}</Fact>
      </dl>
    </section>
  );
}

function ErrorText({ code, detail }: NonNullable<Sandbox['last_error']>): JSX.Element {
  return (
    <>
      <code class="sandbox-error">{code}</code> {detail}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}
