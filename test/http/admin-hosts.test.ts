import t from 'tap';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { inspectSubject, watchSubject } from '../../src/bus/subjects.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { exampleHostInspection, flushed } from '../support/bus.ts';
import { until } from '../support/nats.ts';
import { type EventReader, readEvents } from './event-reader.ts';
import { addHost, ask, startWorld } from './support.ts';

const world = await startWorld(t);
const { edge, far } = world;
const admin = await world.newTeam(['admin']);
const numbers = (events: Array<{ data: Inspection }>): number[] => events.map(({ data }) => data.seq);

t.test('the hosts that live', async (t) => {
  const host = await addHost(t, world);
  const { body } = await ask(t, edge, 'GET', '/v1/admin/hosts', admin);
  t.match(
    body.hosts.find(({ host_id }: { host_id: string }) => host_id === host.id),
    { state: 'ready', capacity: { vcpus: 16 } },
  );
  await host.leave();
  const after = (await ask(t, edge, 'GET', '/v1/admin/hosts', admin)).body.hosts;
  t.notOk(after.some(({ host_id }: { host_id: string }) => host_id === host.id));
});

t.test('what a host holds; what it fails with', async (t) => {
  const host = await addHost(t, world);
  const url = `/v1/admin/hosts/${host.id}/holdings`;
  t.match((await ask(t, edge, 'GET', url, admin)).body, { slots: { used: 1, spare: 2 }, leaks: [] });
  host.refuse.holdings = () => new DormouseError('LOOP_FAILED', 'losetup does not answer');
  t.match((await ask(t, edge, 'GET', url, admin)).body, { status: 500, code: 'LOOP_FAILED' });
});

t.test('a host that is not in the directory', async (t) => {
  for (const id of ['h-nobody', 'x', '*', '%3E', 'a'.repeat(200)])
    for (const rest of ['holdings', 'inspections/host', 'inspections/host/stream'])
      t.match(
        (await ask(t, edge, 'GET', `/v1/admin/hosts/${id}/${rest}`, admin)).body,
        { status: 404, code: 'HOST_NOT_FOUND' },
        `${id} ${rest}`,
      );
});

t.test("what happened to a host's actor; a kind that there is none of", async (t) => {
  const host = await addHost(t, world);
  host.happened.push(exampleHostInspection(host.id, 1), exampleHostInspection(host.id, 2));
  const url = `/v1/admin/hosts/${host.id}/inspections`;
  const { body } = await ask(t, edge, 'GET', `${url}/host`, admin);
  t.match(body, { now: { seq: 2, kind: 'host' }, recent: [{ seq: 1 }, { seq: 2 }] });
  t.match((await ask(t, edge, 'GET', `${url}/loop-registry`, admin)).body.now, { kind: 'loop-registry' });
  t.match(host.received, [{ body: { kind: 'host' } }, { body: { kind: 'loop-registry' } }]);
  for (const rest of ['sandbox', 'sandbox/stream', 'x'])
    t.match((await ask(t, edge, 'GET', `${url}/${rest}`, admin)).body, {
      code: 'INVALID_REQUEST',
      in: 'params',
    });
});

t.test('the stream of a host: from now on or after a number; what was missed is asked for', async (t) => {
  const host = await addHost(t, world);
  const target = { kind: 'host', hostId: host.id } as const;
  let notes = 0;
  const subscription = far.subscribe(watchSubject(target), () => {
    notes += 1;
  });
  t.teardown(() => subscription.close());
  await flushed(far);
  const open = async (lastId?: string): Promise<EventReader> => {
    const before = notes;
    const reader = await readEvents(t, edge, `/v1/admin/hosts/${host.id}/inspections/host/stream`, {
      key: admin.key,
      ...(lastId !== undefined && { headers: { 'last-event-id': lastId } }),
    });
    await until(() => notes > before, 'it is looked at');
    return reader;
  };
  const tell = (inspection: Inspection): void =>
    far.publish(inspectSubject(target), Buffer.from(JSON.stringify(inspection)));
  const happen = (seq: number, changes: Partial<Inspection> = {}): Inspection => {
    const inspection = { ...exampleHostInspection(host.id, seq), ...changes };
    host.happened.push(inspection);
    return inspection;
  };
  happen(1);
  happen(2);
  const fresh = await open();
  const resumed = await open('1');
  t.same(numbers(await resumed.until(1)), [2]);
  tell(happen(3));
  // The fourth is not told: it is lost on the way.
  happen(4);
  tell(happen(5));
  t.same(numbers(await fresh.until(3)), [3, 4, 5]);
  t.same(numbers(await resumed.until(4)), [2, 3, 4, 5]);

  // Another process of the host: its numbers begin anew.
  host.happened.splice(0);
  const later = new Date(Date.UTC(2026, 5, 1)).toISOString();
  tell(happen(1, { at: later, to: 'starting' }));
  t.same(numbers(await fresh.until(4)), [3, 4, 5, 1]);
  const again = await open('5');
  t.match(await again.until(1), [{ id: '1', data: { to: 'starting' } }]);

  const tooLarge = await ask(t, edge, 'GET', `/v1/admin/hosts/${host.id}/inspections/host/stream`, {
    key: admin.key,
    headers: { 'last-event-id': '2147483648' },
  });
  t.match(tooLarge.body, { status: 400, code: 'INVALID_REQUEST', field: 'last-event-id' });
});
