import fc from 'fast-check';
import t from 'tap';
import type { HostInfo } from '../../src/actors/host/protocol.ts';
import { chooseHost } from '../../src/http/build.ts';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';

// What is read of a host here is its name, its state and its free disk.
const hostOf = (host_id: string, disk_free_mb = 100_000, state = 'ready'): HostInfo =>
  ({ host_id, state, capacity: { disk_free_mb } }) as unknown as HostInfo;
const choose = (hosts: readonly HostInfo[], name: string): string =>
  chooseHost(hosts, undefined, { teamId: DEFAULT_TEAM_ID, name });

t.test(
  'the same name goes to the same host, however much is free and in whatever order they are',
  async (t) => {
    const free = fc.array(fc.integer({ min: 5_000, max: 1_000_000 }), { minLength: 5, maxLength: 5 });
    const result = fc.check(
      fc.property(free, free, fc.string(), (before, after, name) => {
        const hosts = before.map((mb, index) => hostOf(`h-${index}`, mb));
        const later = after.map((mb, index) => hostOf(`h-${index}`, mb)).reverse();
        return choose(hosts, name) === choose(later, name);
      }),
      { numRuns: 50 },
    );
    t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
  },
);

t.test('a host that goes moves only the names that were its own, and all hosts get some', async (t) => {
  const hosts = ['h-a', 'h-b', 'h-c', 'h-d'].map((id) => hostOf(id));
  const names = Array.from({ length: 100 }, (_, number) => `t${number}`);
  const before = names.map((name) => choose(hosts, name));
  t.same([...new Set(before)].sort(), ['h-a', 'h-b', 'h-c', 'h-d']);
  const drains = hosts.map((host) => (host.host_id === 'h-a' ? hostOf('h-a', 1, 'draining') : host));
  const after = names.map((name) => choose(drains, name));
  for (const [index, host] of before.entries())
    if (host !== 'h-a') t.equal(after[index], host);
    else t.not(after[index], 'h-a');
});

t.test('one that has little free disk is chosen only when no other has more', async (t) => {
  for (const name of ['a', 'b', 'c', 'd'])
    t.equal(choose([hostOf('h-a', 4_095), hostOf('h-b', 4_096)], name), 'h-b');
  t.equal(choose([hostOf('h-a', 10)], 'a'), 'h-a');
  t.throws(() => choose([hostOf('h-a', 10_000, 'draining')], 'a'), { code: 'NO_HOST_AVAILABLE' });
});
