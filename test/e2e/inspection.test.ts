import t from 'tap';
import { hostCommands } from '../../src/actors/host/protocol.ts';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { hostSubject, sandboxSubject } from '../../src/bus/subjects.ts';
import { watchInspections } from '../../src/bus/watch.ts';
import { systemClock } from '../../src/clock.ts';
import { connectTestBus } from '../support/bus.ts';
import { http, newDataDir, removeDataDir, startDormouse, type View } from '../support/dormouse.ts';
import { until } from '../support/nats.ts';

t.setTimeout(300_000);

/** What services see of a running Dormouse: what actors are in the middle of, what a host holds, what its sandboxes take. */

const dataDir = await newDataDir();
const server = await startDormouse(dataDir);
t.teardown(async () => {
  await server.stop();
  await removeDataDir(dataDir);
});
const bus = await connectTestBus(t, server.natsUrl);
const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
const { id, team_id: teamId } = sandbox;
const hostId = String(sandbox.host_id);
const address = sandboxSubject(teamId, id);
// It outlives its server. Teardowns go from the last to the first.
t.teardown(() => http(server, 'DELETE', `/sandboxes/${id}`));

t.test('an actor is looked at while it works', async (t) => {
  const seen: Inspection[] = [];
  const watching = watchInspections(bus, systemClock, { kind: 'sandbox', teamId, id }, (one) =>
    seen.push(one),
  );
  t.teardown(() => watching.close());
  // The host has heard of it before it hears of this.
  const before = await bus.request(`${address}.inspect`, sandboxCommands.inspect, {});
  t.match(before, { to: 'running', cause: 'step.done', refused: null, error: null });
  t.match(before.moment?.context, { has_disk: true, tries: 0, source: /image|snapshot/ });
  t.same(before.moment?.ledger.map(({ kind }) => kind).sort(), ['disk', 'live', 'slot', 'vmm']);
  t.ok(before.allowed.includes('pause'));
  await t.rejects(bus.request(`${address}.resume`, sandboxCommands.resume, {}), {
    code: 'SANDBOX_WRONG_STATE',
  });
  await bus.request(`${address}.pause`, sandboxCommands.pause, {});
  await until(() => seen.at(-1)?.to === 'paused', 'it is seen to pause');
  const [refusal, ...transitions] = seen;
  t.match(refusal, { refused: 'resume', seq: before.seq, from: 'running', to: 'running' });
  t.same(
    transitions.map(({ seq }) => seq),
    transitions.map((_, at) => before.seq + 1 + at),
    'every transition, in order',
  );
  t.match(transitions[0], { from: 'running', to: 'pausing.draining', cause: 'pause' });
  const now = await bus.request(`${address}.inspect`, sandboxCommands.inspect, {});
  t.same(now, seen.at(-1));
  t.notMatch(JSON.stringify(seen), dataDir);
});

t.test('what the host holds', async (t) => {
  const ask = () => bus.request(`${hostSubject(hostId)}.holdings`, hostCommands.holdings, {});
  const paused = await ask();
  t.equal(paused.slots.used, 0);
  await bus.request(`${address}.resume`, sandboxCommands.resume, {});
  const running = await ask();
  t.equal(running.slots.used, 1);
  t.same(running.leaks, []);
  const info = await bus.request(`${hostSubject(hostId)}.info`, hostCommands.info, {});
  const hasDevices = info.disk_driver === 'device-mapper';
  t.equal(running.devices.length > 0, hasDevices);
  t.equal(running.loops.length > 0, hasDevices);
});

t.test('what the host and its registry are in the middle of, and were', async (t) => {
  for (const kind of ['host', 'loop-registry'] as const) {
    const { now, recent } = await bus.request(`${hostSubject(hostId)}.inspect`, hostCommands.inspect, {
      kind,
    });
    t.match(now, { kind, id: hostId, team_id: null, to: 'ready' });
    t.same(recent.at(-1), now);
    t.equal(recent[0]?.seq, 1, 'from its start');
  }
});

t.test('what the sandboxes of a team take', async (t) => {
  const ask = (team_id: string) =>
    bus.request(`${hostSubject(hostId)}.usage`, hostCommands.usage, { team_id });
  const { sandboxes } = await ask(teamId);
  t.equal(sandboxes.length, 1);
  t.equal(sandboxes[0]?.id, id);
  t.ok((sandboxes[0]?.allocated_bytes ?? 0) > 1_000_000);
  t.same(await ask('11111111-2222-3333-4444-555555555555'), { sandboxes: [] });
});
