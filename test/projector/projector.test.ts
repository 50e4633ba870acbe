import t, { type Test } from 'tap';
import { hostCommands } from '../../src/actors/host/protocol.ts';
import type { SandboxTransition } from '../../src/actors/sandbox/protocol.ts';
import { hostSubject } from '../../src/bus/subjects.ts';
import { type Bus, endpoint } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { runProjector } from '../../src/projector/index.ts';
import type { Records } from '../../src/records/types.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView } from '../support/bus.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';
import { exampleTemplate, exampleTemplateDetails } from '../support/templates.ts';

/** A projector that the test's teardown ends; `end` ends it before. */
function startProjector(t: Test, bus: Bus, records: Records): { end(): Promise<void> } {
  const stopping = new AbortController();
  const running = runProjector({ bus, records, clock: systemClock, log: silentLog, signal: stopping.signal });
  const end = async (): Promise<void> => {
    stopping.abort();
    await running;
  };
  t.teardown(end);
  return { end };
}

t.test('the projector', async (t) => {
  const nats = await startTestNats(t);
  const { records, postgres, sql } = await startTestRecords(t);
  const bus = await connectTestBus(t, nats.url);
  const teamId = newTeamId();

  const publish = async (id: string, from: number, to: number): Promise<void> => {
    for (let seq = from; seq <= to; seq += 1)
      await bus.events.append(exampleTransition(exampleView({ id, team_id: teamId }), seq));
  };
  const stored = async (id: string): Promise<number[]> =>
    (await records.listTransitions(teamId, id, 0, 1000)).map(({ seq }) => seq);
  const untilStored = (id: string, seq: number): Promise<void> =>
    until(async () => (await records.findSandbox(teamId, id))?.seq === seq, `${id} is at ${seq}`);

  await t.test('brings events into the records, also those of before its start', async (t) => {
    const id = newSandboxId();
    await publish(id, 1, 3);
    const { end } = startProjector(t, bus, records);
    await untilStored(id, 3);
    await publish(id, 4, 5);
    await untilStored(id, 5);
    await end();
    await publish(id, 6, 6);
    t.same(await stored(id), [1, 2, 3, 4, 5], 'it has ended');
    startProjector(t, bus, records);
    await untilStored(id, 6);
    t.same(await stored(id), [1, 2, 3, 4, 5, 6]);
  });

  await t.test('is one of many', async (t) => {
    const ids = Array.from({ length: 4 }, newSandboxId);
    for (const name of ['one', 'two', 'three']) {
      const own = await connectTestBus(t, nats.url, { name });
      startProjector(t, own, records);
    }
    await Promise.all(ids.map((id) => publish(id, 1, 10)));
    for (const id of ids) {
      await untilStored(id, 10);
      t.same(await stored(id), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
  });

  await t.test('skips what cannot be stored', async (t) => {
    const id = newSandboxId();
    const view = exampleView({ id, team_id: teamId });
    const poison: SandboxTransition[] = [
      exampleTransition(view, 2 ** 40),
      { ...exampleTransition(view, 1), sandbox: { ...view, id: newSandboxId() } },
    ];
    for (const event of poison) await bus.events.append(event);
    await publish(id, 2, 2);
    startProjector(t, bus, records);
    await untilStored(id, 2);
    t.same(await stored(id), [2]);
  });

  await t.test('waits for a database that is away, and loses nothing', async (t) => {
    const id = newSandboxId();
    const { end } = startProjector(t, bus, records);
    await publish(id, 1, 1);
    await untilStored(id, 1);
    await postgres.stop();
    await publish(id, 2, 4);
    await postgres.start();
    await untilStored(id, 4);
    t.same(await stored(id), [1, 2, 3, 4]);

    await postgres.stop();
    await publish(id, 5, 6);
    await end();
    t.pass('it ends while it waits');
    await postgres.start();
    startProjector(t, bus, records);
    await untilStored(id, 6);
    t.same(await stored(id), [1, 2, 3, 4, 5, 6]);
  });

  await t.test('goes on when the bus comes back', async (t) => {
    const id = newSandboxId();
    startProjector(t, bus, records);
    await publish(id, 1, 1);
    await untilStored(id, 1);
    await nats.kill();
    await until(() => bus.status() === 'disconnected', 'the loss is noticed');
    await nats.start();
    await until(() => bus.status() === 'connected', 'the bus is back');
    await until(
      () =>
        publish(id, 2, 2).then(
          () => true,
          () => false,
        ),
      'the stream takes events',
    );
    await untilStored(id, 2);
    t.same(await stored(id), [1, 2]);
  });

  await t.test('builds the records again from the stream', async (t) => {
    const before = await sql('select * from sandboxes order by id');
    t.ok(before.length > 0);
    await sql('truncate sandboxes, transitions');
    // A consumer of another name reads the stream from its beginning.
    const rebuilt = new AbortController();
    const consuming = bus.events.consume(
      'rebuild',
      async (event) => {
        await records.applyTransition(event.transition).catch(() => undefined);
        await event.ack();
      },
      rebuilt.signal,
    );
    await until(
      async () => JSON.stringify(await sql('select * from sandboxes order by id')) === JSON.stringify(before),
      'the records are as before',
    );
    rebuilt.abort();
    await consuming;
  });

  await t.test('remembers hosts and their templates', async (t) => {
    const template = exampleTemplate();
    const { template: command } = hostCommands;
    const responder = bus.serveAll(hostSubject('h-a'), [
      endpoint(command, async () => exampleTemplateDetails({ host_id: 'h-a', user: 'dev' })),
    ]);
    t.teardown(() => responder.close());
    await bus.hosts.announce({ ...exampleHost('h-a'), templates: [template] });
    await bus.hosts.announce({ ...exampleHost('h-b'), state: 'draining' });
    startProjector(t, bus, records);
    await until(async () => (await records.listTemplates(teamId)).length > 0, 'the template is known');
    t.match(await records.listTemplates(teamId), [
      { teamId: PLATFORM_TEAM_ID, name: 'minimal', sizeMb: 64, hostId: 'h-a', user: 'dev' },
    ]);
    t.same(await sql('select id, state from hosts order by id'), [
      { id: 'h-a', state: 'ready' },
      { id: 'h-b', state: 'draining' },
    ]);
  });
});
