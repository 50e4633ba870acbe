import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import t from 'tap';
import { hostCommands } from '../../src/actors/host/protocol.ts';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import type { Inspected } from '../../src/actors/system/inspect.ts';
import { BusInspector } from '../../src/bus/inspector.ts';
import type { Bus } from '../../src/bus/types.ts';
import { endpoint } from '../../src/bus/types.ts';
import { watchInspections } from '../../src/bus/watch.ts';
import { systemClock } from '../../src/clock.ts';
import { DEFAULT_TEAM_ID, newSandboxId } from '../../src/ids.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView, TEAM } from '../support/bus.ts';
import { exampleAccounts } from '../support/example-accounts.ts';
import { exampleInspection } from '../support/inspections.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';
import { exampleTemplateDetails } from '../support/templates.ts';

const { get } = sandboxCommands;

t.test('the permissions of the example', async (t) => {
  const { config, seeds } = await exampleAccounts();
  t.same([...seeds.keys()], ['edge-1', 'h-1', 'scheduler-1', 'projector-1', 'service-1', 'viewer-1']);
  const server = await startTestNats(t, config);
  const role = (name: string): Promise<Bus> =>
    connectTestBus(t, server.url, { nkeySeed: seeds.get(name)!, inboxPrefix: `_INBOX_${name}` });
  const edge = await role('edge-1');
  const host = await role('h-1');
  const scheduler = await role('scheduler-1');
  const projector = await role('projector-1');
  const service = await role('service-1');
  const viewer = await role('viewer-1');
  const sandbox = exampleView();
  const address = `dormouse.sandbox.${TEAM}.${sandbox.id}`;

  await t.test('each role can do its work', async (t) => {
    const stop = new AbortController();
    const seen: number[] = [];
    const projecting = projector.events.consume(
      'projector',
      async (event) => {
        seen.push(event.transition.seq);
        await event.ack();
      },
      stop.signal,
    );
    t.same(await scheduler.hosts.list(), []);
    await host.hosts.announce(exampleHost('h-1'));
    t.equal((await scheduler.hosts.list()).length, 1);
    t.equal((await edge.hosts.list()).length, 1);
    await until(
      () =>
        host.events.append(exampleTransition(sandbox, 1)).then(
          () => true,
          () => false,
        ),
      'the projector has made the stream',
    );
    await until(() => seen.length === 1, 'the event is projected');
    let handled = 0;
    await until(async () => {
      handled = await edge.events.handled('projector');
      return handled > 0;
    }, 'the edge may ask how far the projector is');
    const following = new AbortController();
    const followed = edge.events.follow(
      TEAM,
      handled - 1,
      async ({ transition }) => {
        t.equal(transition.seq, 1, 'the edge may follow the events of a team');
        following.abort();
      },
      following.signal,
    );
    t.equal(await followed, true);
    stop.abort();
    await projecting;

    const { sandboxes } = hostCommands;
    const keepsNone = endpoint(sandboxes, async () => ({ sandboxes: [] }));
    const hasOne = endpoint(hostCommands.template, async () => exampleTemplateDetails());
    await host.service('dormouse.host.h-1', [keepsNone, hasOne], { name: 'dormouse-host', description: '' });
    await scheduler.service('dormouse.scheduler', [], {
      name: 'dormouse-scheduler',
      description: '',
      queue: 'scheduler',
    });
    await until(
      () =>
        projector.request('dormouse.host.h-1.sandboxes', sandboxes, {}).then(
          () => true,
          (error) => error.code !== 'HOST_UNREACHABLE',
        ),
      'the projector may ask a host what it keeps',
    );
    t.same(await projector.request('dormouse.host.h-1.sandboxes', sandboxes, {}), { sandboxes: [] });
    for (const asking of [projector, edge])
      t.match(
        await asking.request('dormouse.host.h-1.template', hostCommands.template, {
          team_id: TEAM,
          name: 'minimal',
        }),
        { name: 'minimal' },
      );
    const aborted: AbortSignal[] = [];
    let hold = false;
    host.serveAll(address, [
      endpoint(sandboxCommands.fork, async ({ ids }) => ({
        sandboxes: ids.map((id) => exampleView({ id })),
      })),
      endpoint(sandboxCommands.destroy, async () => sandbox),
      endpoint(get, async (_body, { signal }) => {
        if (!hold) return sandbox;
        aborted.push(signal);
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        );
      }),
    ]);
    await until(
      () =>
        edge.request(`${address}.get`, get, {}).then(
          (view) => view.id === sandbox.id,
          (error) => error.code !== 'HOST_UNREACHABLE',
        ),
      'the sandbox answers',
    );
    const forks = await scheduler.request(`${address}.fork`, sandboxCommands.fork, { ids: [newSandboxId()] });
    t.equal(forks.sandboxes.length, 1, 'the scheduler may have a sandbox copied');
    await scheduler.request(`${address}.destroy`, sandboxCommands.destroy, {});
    t.pass('and what is left of a fork that failed destroyed');
    hold = true;
    const leaving = new AbortController();
    const request = edge.request(`${address}.get`, get, {}, { signal: leaving.signal });
    const outcome = t.rejects(request, { code: 'CANCELLED' });
    await until(() => aborted.length === 1, 'at work');
    leaving.abort();
    await outcome;
    await until(() => aborted[0]!.aborted, 'a caller may cancel its own request');
  });

  await t.test('and whoever may look at an actor is shown what happens to it', async (t) => {
    const one = { kind: 'sandbox', teamId: DEFAULT_TEAM_ID, id: sandbox.id } as const;
    const viewers: Array<[name: string, bus: Bus, target: Inspected]> = [
      ['edge-1', edge, one],
      ['edge-1', edge, { kind: 'host', hostId: 'h-1' }],
      ['edge-1', edge, { kind: 'loop-registry', hostId: 'h-1' }],
      ['service-1', service, one],
      ['viewer-1', viewer, one],
    ];
    for (const [name, bus, target] of viewers) {
      // A new one each time: it knows nothing of who looked before.
      const inspector = new BusInspector(host, { clock: systemClock, log: silentLog });
      const listening = inspector.listen('h-1');
      // When the server has answered this, it knows what the host listens to.
      await host.hosts.announce(exampleHost('h-1'));
      const got: string[] = [];
      const watching = watchInspections(bus, systemClock, target, ({ kind }) => got.push(kind));
      await until(() => {
        inspector.happened(target, () => exampleInspection(target));
        return got.length > 0;
      }, `${name} sees a ${target.kind}`);
      t.equal(got[0], target.kind, `${name} sees a ${target.kind}`);
      watching.close();
      listening.close();
    }
  });

  await t.test('and no role can do what is not its work', async (t) => {
    const other = `dormouse.sandbox.${TEAM}.${newSandboxId()}.pause`;
    const denied: Array<[name: string, publish: string[], subscribe: string[]]> = [
      [
        'edge-1',
        [
          'dormouse.host.h-1.create',
          'dormouse.host.h-1.drain',
          'dormouse.event.sandbox.a.b.running',
          'dormouse.cancel._INBOX_scheduler-1.x.1',
          '$KV.dormouse_hosts.h-1',
          '_INBOX_h-1.x',
          '$JS.API.STREAM.DELETE.DORMOUSE_EVENTS',
          '$JS.API.CONSUMER.DELETE.DORMOUSE_EVENTS.projector',
          '$JS.API.CONSUMER.MSG.NEXT.DORMOUSE_EVENTS.projector',
          '$JS.API.CONSUMER.CREATE.DORMOUSE_EVENTS.projector',
          '$JS.API.CONSUMER.CREATE.DORMOUSE_EVENTS.projector.dormouse.event.sandbox.a.b.c',
          '$JS.API.CONSUMER.DURABLE.CREATE.DORMOUSE_EVENTS.mine',
        ],
        ['_INBOX.>', '_INBOX_h-1.>', 'dormouse.sandbox.>', 'dormouse.host.>', 'dormouse.cancel.>', '>'],
      ],
      [
        'h-1',
        [
          other,
          'dormouse.host.h-2.create',
          'dormouse.scheduler.create',
          'dormouse.loop-registry.h-2.release',
          'dormouse.inspect.host.h-2',
          'dormouse.watch.host.h-1',
          '$KV.dormouse_hosts.h-2',
          '_INBOX_edge-1.x',
          '$JS.API.STREAM.DELETE.DORMOUSE_EVENTS',
          '$JS.API.STREAM.PURGE.DORMOUSE_EVENTS',
          '$JS.API.STREAM.MSG.DELETE.DORMOUSE_EVENTS',
          '$JS.ACK.DORMOUSE_EVENTS.projector.1.1.1.1.0',
        ],
        [
          '_INBOX_edge-1.>',
          'dormouse.host.h-2.*',
          'dormouse.host.>',
          'dormouse.watch.host.h-2',
          'dormouse.inspect.>',
          'dormouse.event.>',
          'dormouse.scheduler.*',
        ],
      ],
      [
        'scheduler-1',
        [
          other,
          'dormouse.host.h-1.build-template',
          'dormouse.event.sandbox.a.b.running',
          '$KV.dormouse_hosts.h-1',
          '$JS.API.STREAM.DELETE.KV_dormouse_hosts',
        ],
        ['dormouse.sandbox.>', 'dormouse.host.>', '_INBOX_edge-1.>'],
      ],
      [
        'projector-1',
        [
          other,
          'dormouse.host.h-1.delete-template',
          'dormouse.scheduler.create',
          'dormouse.event.sandbox.a.b.running',
          '$JS.API.STREAM.DELETE.DORMOUSE_EVENTS',
          '$JS.API.STREAM.PURGE.DORMOUSE_EVENTS',
          '$JS.API.CONSUMER.DELETE.DORMOUSE_EVENTS.projector',
          '$JS.ACK.DORMOUSE_EVENTS.another.1.1.1.1.0',
        ],
        ['dormouse.sandbox.>', '_INBOX_edge-1.>', '$KV.>'],
      ],
      [
        'service-1',
        [
          other,
          `dormouse.watch.sandbox.${TEAM}.all`,
          'dormouse.watch.host.h-1',
          'dormouse.host.h-1.create',
          'dormouse.scheduler.create',
          '_INBOX_edge-1.x',
        ],
        [
          `dormouse.inspect.sandbox.${TEAM}.*`,
          'dormouse.inspect.>',
          'dormouse.event.>',
          'dormouse.io.>',
          '_INBOX_edge-1.>',
        ],
      ],
      [
        'viewer-1',
        [other, 'dormouse.event.x', 'dormouse.inspect.host.h-1', 'x', '_INBOX_edge-1.x'],
        ['dormouse.sandbox.>', '_INBOX_edge-1.>', '>'],
      ],
    ];
    for (const [name, publish, subscribe] of denied) {
      const raw = await connect({ servers: server.url, authenticator: nkeyAuthenticator(seeds.get(name)!) });
      const refused = collectRefusals(raw);
      for (const subject of publish) raw.publish(subject);
      for (const subject of subscribe) raw.subscribe(subject, { callback: () => undefined });
      for (const subject of [
        '$JS.API.ACCOUNT.PURGE.RUNTIME',
        '$SYS.REQ.SERVER.PING',
        '$JS.API.STREAM.LIST',
      ]) {
        publish.push(subject);
        raw.publish(subject);
      }
      await raw.flush();
      await until(() => refused.size >= publish.length + subscribe.length, `${name} is refused everything`);
      t.same([...refused].sort(), [...publish, ...subscribe].sort(), name);
      await raw.close();
    }
    await t.rejects(connect({ servers: server.url }), 'nobody connects without a key');
  });
});

function collectRefusals(connection: NatsConnection): Set<string> {
  const refused = new Set<string>();
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'error') {
        const subject = /(?:Publish|Subscription) to "([^"]+)"/i.exec(status.error.message)?.[1];
        if (subject) refused.add(subject);
      }
    }
  })();
  return refused;
}
