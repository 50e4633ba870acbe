import fc from 'fast-check';
import t from 'tap';
import type { HostInfo } from '../../../src/actors/host/protocol.ts';
import type { AskedOptions } from '../../../src/actors/scheduler/options.ts';
import { offersOf, rankPlaces, templateNames } from '../../../src/actors/scheduler/placement.ts';
import { DEFAULT_TEAM_ID, PLATFORM_TEAM_ID } from '../../../src/ids.ts';
import { exampleTemplate } from '../../support/templates.ts';
import { hostInfo, someHosts } from '../host/hosts.ts';

const TEAM = DEFAULT_TEAM_ID;
const OTHER_TEAM = '00000000-0000-4000-8000-000000000002';

const ids = (hosts: HostInfo[], asked: AskedOptions = {}): string[] =>
  rankPlaces(offersOf(hosts, TEAM, asked.template ?? 'minimal'), asked).map(({ hostId }) => hostId);
const template = (...warm: string[]) => [exampleTemplate({ warm })];

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

t.test("the team's template before the platform's, and nobody else's", async (t) => {
  const own = exampleTemplate({ id: 't-own', team_id: TEAM });
  const other = exampleTemplate({ id: 't-other', team_id: OTHER_TEAM });
  const hosts = [
    hostInfo({ host_id: 'platform' }),
    hostInfo({ host_id: 'own', templates: [exampleTemplate(), own] }),
    hostInfo({ host_id: 'other', templates: [other] }),
  ];
  const offers = (team: string) =>
    offersOf(hosts, team, 'minimal').map(({ host, template: { id } }) => [host.host_id, id]);
  t.same(offers(TEAM), [['own', 't-own']]);
  t.same(offers(OTHER_TEAM), [['other', 't-other']]);
  for (const team of [PLATFORM_TEAM_ID, '00000000-0000-4000-8000-000000000003'])
    t.same(offers(team), [
      ['platform', 'minimal'],
      ['own', 'minimal'],
    ]);
  t.same(offersOf(hosts, TEAM, 'debian'), []);
});

t.test("of a team's templates of one name, the newest; of the platform's, all", async (t) => {
  const made = (team_id: string, host_id: string, created_at: string): HostInfo =>
    hostInfo({ host_id, templates: [exampleTemplate({ team_id, created_at })] });
  const both = (team: string): HostInfo[] => [
    made(team, 'old', '2026-01-01T00:00:00.000Z'),
    made(team, 'new', '2026-01-01T00:00:00.001Z'),
  ];
  t.same(ids(both(TEAM)), ['new']);
  t.same(ids(both(PLATFORM_TEAM_ID)), ['old', 'new']);
  const [old, newest] = both(TEAM);
  t.same(ids([old, { ...newest, state: 'draining' }] as HostInfo[]), [], 'the old one is another template');
});

t.test('names that a team may use', async (t) => {
  const named = (name: string, team_id: string) => exampleTemplate({ name, team_id });
  const hosts = [
    hostInfo({ templates: [named('b', TEAM), named('c', PLATFORM_TEAM_ID), named('z', OTHER_TEAM)] }),
    hostInfo({ templates: [named('c', TEAM), named('a', PLATFORM_TEAM_ID)], state: 'draining' }),
  ];
  t.same(templateNames(hosts, TEAM), ['a', 'b', 'c']);
  t.same(templateNames([], TEAM), []);
});

t.test('a template with a memory: only with its own sizes', async (t) => {
  const memory = (changes = {}) => [
    exampleTemplate({ memory: true, vcpus: 2, memory_mb: 1_024, ...changes }),
  ];
  const hosts = [hostInfo({ host_id: 'one', templates: memory() })];
  for (const asked of [{}, { vcpus: 2 }, { vcpus: 2, memory_mb: 1_024, disk_size_mb: 99_999 }])
    t.same(ids(hosts, asked), ['one']);
  for (const asked of [{ vcpus: 1 }, { memory_mb: 512 }, { vcpus: 2, memory_mb: 1_023 }])
    t.throws(() => ids(hosts, asked), {
      code: 'INVALID_SIZE',
      detail: /2 vCPUs and 1024 MiB/,
      data: { vcpus: asked.vcpus ?? 2, memory_mb: asked.memory_mb ?? 1_024, template_vcpus: 2 },
    });
  const another = hostInfo({ host_id: 'two', templates: memory({ vcpus: 1 }) });
  t.same(ids([...hosts, another], { vcpus: 1 }), ['two'], 'where it is possible');
  t.same(
    ids([{ ...hosts[0], state: 'draining' } as HostInfo], { vcpus: 1 }),
    [],
    'nobody is there to say so',
  );
});

t.test(
  'property: every ready host with the template once; those with room before those without',
  async (t) => {
    const wish = fc.record({
      vcpus: fc.integer({ min: 1, max: 8 }),
      memory_mb: fc.constantFrom(96, 512, 5120),
      template: fc.constantFrom('minimal', 'debian'),
    });
    const result = fc.check(
      fc.property(someHosts, wish, (hosts, wanted) => {
        // Names are unique on a host.
        const own = hosts.map((host) => ({ ...host, templates: host.templates.slice(0, 1) }));
        const has = (host: HostInfo): boolean => host.templates.some(({ name }) => name === wanted.template);
        const fits = (host: HostInfo | undefined): boolean =>
          host !== undefined &&
          host.used.vcpus + wanted.vcpus <= host.capacity.vcpus &&
          host.used.memory_mb + wanted.memory_mb <= host.capacity.memory_mb;
        const before = JSON.stringify(own);
        const places = rankPlaces(offersOf(own, TEAM, wanted.template), wanted);
        const ranked = places.map(({ hostId }) => own.find(({ host_id }) => host_id === hostId));
        const expected = own.filter((host) => host.state === 'ready' && has(host));
        return (
          JSON.stringify(own) === before &&
          ranked.length === expected.length &&
          expected.every((host) => ranked.includes(host)) &&
          ranked.every((host, index) => index === 0 || fits(ranked[index - 1]) || !fits(host)) &&
          places.every(({ options }) => options.vcpus === wanted.vcpus && options.disk_size_mb === 20_480)
        );
      }),
      { numRuns: 1000 },
    );
    t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
  },
);
