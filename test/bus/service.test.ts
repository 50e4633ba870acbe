import { type ServiceInfo, type ServiceStats, Svcm } from '@nats-io/services';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { endpoint } from '../../src/bus/types.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { connectTestBus, exampleView } from '../support/bus.ts';
import { startTestNats } from '../support/nats.ts';

t.test('a service is what NATS tools expect', async (t) => {
  const server = await startTestNats(t);
  const bus = await connectTestBus(t, server.url);
  const raw = await connect({ servers: server.url });
  t.teardown(() => raw.close());
  const { get, exec, pause } = sandboxCommands;
  const view = exampleView();
  let fail = false;
  const responder = await bus.service(
    'test.svc',
    [
      endpoint(get, async () => view),
      endpoint(pause, async () => {
        if (fail) throw new DormouseError('SANDBOX_WRONG_STATE', 'It is paused.');
        return view;
      }),
      endpoint(exec, async () => {
        throw new DormouseError('EXEC_NOT_FOUND', 'There is no such program.');
      }),
    ],
    { name: 'dormouse-test', description: 'A test', metadata: { host: 'h-1' }, queue: 'testers' },
  );

  const answer = async <T>(subject: string): Promise<T> =>
    (await raw.request(subject, '', { timeout: 3_000 })).json<T>();
  const info = await answer<ServiceInfo>('$SRV.INFO');
  t.match(info, {
    type: 'io.nats.micro.v1.info_response',
    name: 'dormouse-test',
    version: /^\d+\.\d+\.\d+/,
    description: 'A test',
    metadata: { host: 'h-1' },
  });
  t.match(info.endpoints[0], {
    name: 'get',
    subject: 'test.svc.get',
    queue_group: 'testers',
    metadata: { summary: get.summary },
  });
  t.same(JSON.parse(info.endpoints[0]!.metadata!.request!), JSON.parse(JSON.stringify(get.request)));
  for (const subject of ['$SRV.PING', '$SRV.PING.dormouse-test', `$SRV.PING.dormouse-test.${info.id}`]) {
    t.match(await answer(subject), { type: 'io.nats.micro.v1.ping_response', id: info.id });
  }

  t.same(await bus.request('test.svc.get', get, {}), view);
  await bus.request('test.svc.pause', pause, {});
  fail = true;
  await t.rejects(bus.request('test.svc.pause', pause, {}), { code: 'SANDBOX_WRONG_STATE' });
  await t.rejects(bus.request('test.svc.exec', exec, { cmd: 'x' }), { code: 'EXEC_NOT_FOUND' });
  const stats = await answer<ServiceStats>('$SRV.STATS.dormouse-test');
  t.match(stats, { type: 'io.nats.micro.v1.stats_response', id: info.id });
  t.match(
    stats.endpoints?.map(({ name, num_requests, num_errors }) => [name, num_requests, num_errors]),
    [
      ['get', 1, 0],
      ['pause', 2, 1],
      ['exec', 1, 1],
    ],
  );
  t.match(stats.endpoints?.[1]?.last_error, /^SANDBOX_WRONG_STATE/);
  t.ok((stats.endpoints?.[0]?.average_processing_time ?? 0) > 0);

  // The reference client of the protocol reads the same.
  const client = new Svcm(raw).client();
  for await (const found of await client.info('dormouse-test')) t.equal(found.id, info.id);

  await responder.close();
  await t.rejects(raw.request('$SRV.PING.dormouse-test', '', { timeout: 1_000 }), 'gone from the list');
  await t.rejects(bus.request('test.svc.get', get, {}), { code: 'HOST_UNREACHABLE' });
});
