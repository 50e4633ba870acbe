import fc from 'fast-check';
import t from 'tap';
import type { HostInfo } from '../../../src/actors/host/protocol.ts';
import type { SandboxOptions } from '../../../src/actors/sandbox/protocol.ts';
import { rankHosts } from '../../../src/actors/scheduler/placement.ts';
import { hostInfo, someHosts } from '../host/hosts.ts';

const options: SandboxOptions = {
  template: 'minimal',
  vcpus: 1,
  memory_mb: 512,
  disk_size_mb: 20_480,
  timeout_s: 0,
  on_timeout: 'pause',
  auto_resume: false,
};
const ids = (hosts: HostInfo[], wish: Partial<SandboxOptions> = {}): string[] =>
  rankHosts(hosts, { ...options, ...wish }).map((host) => host.host_id);
const template = (...warm: string[]) => [{ name: 'minimal', size_mb: 64, allocated_bytes: 1, warm }];

t.test('only hosts that are ready', async (t) => {
  const states = ['starting', 'draining', 'stopped', 'ready'] as const;
  t.same(ids(states.map((state) => hostInfo({ host_id: state, state }))), ['ready']);
  t.same(ids([]), []);
});

t.test('the emptiest first', async (t) => {
  const used = (memory_mb: number) => ({ vcpus: 0, memory_mb, sandboxes: 0 });
  t.same(
    ids([
      hostInfo({ host_id: 'half', used: used(2048) }),
      hostInfo({ host_id: 'empty' }),
      hostInfo({ host_id: 'quarter', used: used(1024) }),
    ]),
    ['empty', 'quarter', 'half'],
  );
});

t.test(
  'a saved machine of the shape is worth more than emptiness, and of another shape nothing',
  async (t) => {
    const used = { vcpus: 1, memory_mb: 2048, sandboxes: 1 };
    t.same(
      ids([
        hostInfo({ host_id: 'cold' }),
        hostInfo({ host_id: 'other', templates: template('1x5120x20480', '11x512x20480'), used }),
        hostInfo({ host_id: 'warm', templates: template('1x512x20480'), used }),
      ]),
      ['warm', 'cold', 'other'],
    );
  },
);

t.test('a saved machine does not help where there is no room', async (t) => {
  const used = { vcpus: 16, memory_mb: 0, sandboxes: 1 };
  t.same(
    ids([
      hostInfo({ host_id: 'full', templates: template('1x512x20480'), used }),
      hostInfo({ host_id: 'cold' }),
    ]),
    ['cold', 'full'],
  );
});

t.test(
  'property: every ready host once; with the template before without; among those, who fits before who does not',
  async (t) => {
    const wish = fc.record({
      vcpus: fc.integer({ min: 1, max: 8 }),
      memory_mb: fc.constantFrom(96, 512, 5120),
      template: fc.constantFrom('minimal', 'debian'),
    });
    const result = fc.check(
      fc.property(someHosts, wish, (hosts, wanted) => {
        const has = (host: HostInfo): boolean => host.templates.some(({ name }) => name === wanted.template);
        const fits = (host: HostInfo): boolean =>
          host.used.vcpus + wanted.vcpus <= host.capacity.vcpus &&
          host.used.memory_mb + wanted.memory_mb <= host.capacity.memory_mb;
        const before = JSON.stringify(hosts);
        const ranked = rankHosts(hosts, { ...options, ...wanted });
        const ready = hosts.filter(({ state }) => state === 'ready');
        const rank = (host: HostInfo): number => (has(host) ? 0 : 2) + (fits(host) ? 0 : 1);
        return (
          JSON.stringify(hosts) === before &&
          ranked.length === ready.length &&
          ready.every((host) => ranked.includes(host)) &&
          ranked.every((host, index) => index === 0 || rank(ranked[index - 1] ?? host) <= rank(host))
        );
      }),
      { numRuns: 1000 },
    );
    t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
  },
);
