import { readFile } from 'node:fs/promises';
import { connect, type NatsConnection, nkeyAuthenticator, nkeys } from '@nats-io/transport-node';
import t from 'tap';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import type { Bus } from '../../src/bus/types.ts';
import { endpoint } from '../../src/bus/types.ts';
import { newSandboxId } from '../../src/ids.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView, TEAM } from '../support/bus.ts';
import { startTestNats, until } from '../support/nats.ts';

const EXAMPLE = new URL('../../nats/accounts.example.conf', import.meta.url);
const { get } = sandboxCommands;

/** The example's accounts with keys whose seeds are known here, by the name in the comment behind each key. */
async function exampleAccounts(): Promise<{ config: string; seeds: Map<string, Uint8Array> }> {
  const seeds = new Map<string, Uint8Array>();
  const text = await readFile(EXAMPLE, 'utf8');
  const config = text.replaceAll(/U[A-Z2-7]{55}(?= # ([\w-]+)$)/gm, (_key, name: string) => {
    const pair = nkeys.createUser();
    seeds.set(name, pair.getSeed());
    return pair.getPublicKey();
  });
  return { config, seeds };
}

t.test('the permissions of the example', async (t) => {
  const { config, seeds } = await exampleAccounts();
  t.same([...seeds.keys()], ['edge-1', 'h-1', 'scheduler-1', 'projector-1', 'viewer-1']);
  const server = await startTestNats(t, config);
  const role = (name: string): Promise<Bus> =>
    connectTestBus(t, server.url, { nkeySeed: seeds.get(name)!, inboxPrefix: `_INBOX_${name}` });
  const edge = await role('edge-1');
  const host = await role('h-1');
  const scheduler = await role('scheduler-1');
  const projector = await role('projector-1');
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
    stop.abort();
    await projecting;

    await host.service('dormouse.host.h-1', [], { name: 'dormouse-host', description: '' });
    await scheduler.service('dormouse.scheduler', [], {
      name: 'dormouse-scheduler',
      description: '',
      queue: 'scheduler',
    });
    const aborted: AbortSignal[] = [];
    let hold = false;
    host.serveAll(address, [
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
    hold = true;
    const leaving = new AbortController();
    const request = edge.request(`${address}.get`, get, {}, { signal: leaving.signal });
    const outcome = t.rejects(request, { code: 'CANCELLED' });
    await until(() => aborted.length === 1, 'at work');
    leaving.abort();
    await outcome;
    await until(() => aborted[0]!.aborted, 'a caller may cancel its own request');
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
          'dormouse.event.>',
          'dormouse.scheduler.*',
        ],
      ],
      [
        'scheduler-1',
        [
          other,
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
        'viewer-1',
        [other, 'dormouse.event.x', 'x', '_INBOX_edge-1.x'],
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
