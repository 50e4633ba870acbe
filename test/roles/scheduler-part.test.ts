import t from 'tap';
import { type HostInfo, hostCommands } from '../../src/actors/host/protocol.ts';
import { type SandboxView, sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../src/actors/scheduler/protocol.ts';
import { hostSubject, SCHEDULER_SUBJECT, sandboxSubject } from '../../src/bus/subjects.ts';
import { endpoint } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/config.ts';
import { hasCode } from '../../src/errors/index.ts';
import { newHostId } from '../../src/ids.ts';
import { pathsOf } from '../../src/paths.ts';
import { startSchedulerPart } from '../../src/roles/scheduler-part.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView } from '../support/bus.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';
import { startTestRecords } from '../support/records.ts';
import { exampleTemplate } from '../support/templates.ts';

const { create, fork } = schedulerCommands;

t.test('the scheduler on a real bus and a real database', async (t) => {
  const nats = await startTestNats(t);
  const { records } = await startTestRecords(t);
  const bus = await connectTestBus(t, nats.url);
  const hostId = newHostId();
  const info: HostInfo = { ...exampleHost(hostId), templates: [exampleTemplate({ disk_size_mb: 1_000 })] };

  const made: Array<Pick<SandboxView, 'id' | 'team_id' | 'state'>> = [];
  const hooks = { fork: async (_: AbortSignal): Promise<void> => {} };

  /** A host that makes everything, and tells the records of it. */
  const running = async (view: SandboxView): Promise<SandboxView> => {
    await records.applyTransition(exampleTransition(view, 1));
    made.push({ id: view.id, team_id: view.team_id, state: view.state });
    const sandbox = bus.serveAll(sandboxSubject(view.team_id, view.id), [
      endpoint(sandboxCommands.fork, async ({ ids }, { signal }) => {
        await hooks.fork(signal);
        return { sandboxes: await Promise.all(ids.map((id) => running({ ...view, id }))) };
      }),
    ]);
    t.teardown(() => sandbox.close());
    return { ...view, seq: 1 };
  };
  const host = bus.serveAll(hostSubject(hostId), [
    endpoint(hostCommands.info, async () => info),
    endpoint(hostCommands.sandboxes, async () => ({ sandboxes: made })),
    endpoint(hostCommands.create, ({ sandbox_id, team_id, options }) =>
      running(exampleView({ id: sandbox_id, team_id, host_id: hostId, ...options })),
    ),
  ]);
  t.teardown(() => host.close());
  await bus.hosts.announce(info);
  const ports = {
    config: loadConfig({}),
    paths: pathsOf('/nowhere'),
    clock: systemClock,
    log: silentLog,
    version: '1',
  };
  // Two members of the queue group.
  for (const _ of [1, 2]) {
    const part = await startSchedulerPart(bus, records, ports);
    t.teardown(() => part.close());
  }
  const unlimited = { sandboxes: null, vcpus: null, memoryMb: null, diskMb: null };
  const { id: teamId } = await records.createTeam({ name: 'mine', quota: { ...unlimited, sandboxes: 12 } });
  const usage = async () => (await records.findTeam(teamId))?.usage;

  const original = await bus.request(`${SCHEDULER_SUBJECT}.create`, create, { team_id: teamId, options: {} });
  t.match(original, { state: 'running', template: 'minimal', vcpus: 1, memory_mb: 512, disk_size_mb: 1_000 });
  t.same(await usage(), { sandboxes: 1, vcpus: 1, memoryMb: 512, diskMb: 1_000 });
  const forking = (key: string, count = 4) =>
    bus.request(`${SCHEDULER_SUBJECT}.fork`, fork, {
      team_id: teamId,
      sandbox_id: original.id,
      count,
      idempotency_key: key,
    });
  const { sandboxes } = await forking('first');
  t.equal(new Set(sandboxes.map(({ id }) => id)).size, 4);
  t.same(
    (await forking('first')).sandboxes.map(({ id }) => id),
    sandboxes.map(({ id }) => id),
  );
  t.equal((await usage())?.sandboxes, 5);

  // 7 are left: of forks and creates at once, as many as there is room for.
  const wanted = [
    ...['a', 'b', 'c'].map((key) => forking(key)),
    ...Array.from({ length: 6 }, () =>
      bus.request(`${SCHEDULER_SUBJECT}.create`, create, { team_id: teamId, options: {} }),
    ),
  ];
  const results = await Promise.allSettled(wanted);
  for (const result of results)
    if (result.status === 'rejected') t.ok(hasCode(result.reason, 'QUOTA_EXCEEDED'), String(result.reason));
  const used = (await usage())?.sandboxes ?? 0;
  t.ok(used > 8 && used <= 12, `${used} of 12`);
  t.equal((await records.listSandboxes({ teamId, limit: 50 })).items.length, used);

  await t.rejects(
    bus.request(`${SCHEDULER_SUBJECT}.create`, create, { team_id: teamId, options: { template: 'other' } }),
    { code: 'TEMPLATE_NOT_FOUND', detail: /There are: minimal/ },
  );
  info.templates = [...info.templates, exampleTemplate({ name: 'other', team_id: teamId })];
  await records.updateTeam(teamId, { quota: unlimited });
  const fresh = await bus.request(`${SCHEDULER_SUBJECT}.create`, create, {
    team_id: teamId,
    options: { template: 'other' },
  });
  t.equal(fresh.template, 'other', 'what the directory has not heard of yet');

  const before = await usage();
  const caller = new AbortController();
  hooks.fork = async (signal) => {
    caller.abort();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    throw signal.reason;
  };
  const givenUp = { team_id: teamId, sandbox_id: original.id, count: 3 };
  await t.rejects(bus.request(`${SCHEDULER_SUBJECT}.fork`, fork, givenUp, { signal: caller.signal }), {
    code: 'CANCELLED',
  });
  await until(
    async () => (await usage())?.sandboxes === before?.sandboxes,
    'nothing of a fork that was given up is counted',
  );
});
