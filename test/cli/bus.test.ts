import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { type HostInfo, hostCommands } from '../../src/actors/host/protocol.ts';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { endpoint, hostSubject, sandboxSubject } from '../../src/bus/index.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { connectTestBus, exampleView, flushed } from '../support/bus.ts';
import { startTestNats } from '../support/nats.ts';
import { exampleTemplate } from '../support/templates.ts';
import { dormouse, json, lines, temporaryFolder } from './support.ts';

t.jobs = 2;

function hostInfo(hostId: string): HostInfo {
  const now = new Date().toISOString();
  return {
    host_id: hostId,
    version: '0.1.0',
    state: 'ready',
    started_at: now,
    at: now,
    accelerator: 'tcg',
    disk_driver: 'reflink',
    vmm_driver: 'qemu',
    capacity: { vcpus: 32, memory_mb: 8192, disk_free_mb: 20480 },
    used: { vcpus: 1, memory_mb: 512, sandboxes: 1 },
    templates: [exampleTemplate({ allocated_bytes: 3 * 1024 * 1024, warm: ['1x512x20480'] })],
  };
}

t.test('nats-req', async (t) => {
  const nats = await startTestNats(t);
  const bus = await connectTestBus(t, nats.url);
  const view = exampleView({ state: 'paused' });
  const subject = sandboxSubject(view.team_id, view.id);
  const asked: unknown[] = [];
  bus.serveAll(subject, [
    endpoint(sandboxCommands.pause, async () => view),
    endpoint(sandboxCommands.ping, async (body) => {
      asked.push(body);
      return view;
    }),
    endpoint(sandboxCommands.resume, async () => {
      throw new DormouseError('SANDBOX_WRONG_STATE', 'It runs.', {
        data: { state: 'running', allowed: ['pause'] },
      });
    }),
  ]);
  await flushed(bus);
  const settings = { NATS_URL: nats.url };

  const paused = await dormouse(['nats-req', `${subject}.pause`, '{}', '--json'], settings);
  t.equal(paused.status, 0);
  t.same(json(paused), view);
  const pretty = await dormouse(['nats-req', `${subject}.ping`, '{"timeout_s": 9}'], settings);
  t.same(json(pretty), view);
  t.ok(lines(pretty).length > 1, 'for people, on several lines');
  t.same(asked, [{ timeout_s: 9 }]);

  const refused = await dormouse(['nats-req', `${subject}.resume`], settings);
  t.equal(refused.status, 1);
  t.match(refused.stderr, /SANDBOX_WRONG_STATE.*It runs\..*allowed now: pause/s);
  const invalid = await dormouse(['nats-req', `${subject}.ping`, '{"x": 1}', '--json'], settings);
  t.equal(invalid.status, 1);
  t.match(json(invalid), { code: 'INVALID_REQUEST' });
  const nobody = await dormouse(['nats-req', 'dormouse.nobody.here'], settings);
  t.equal(nobody.status, 1);
  t.match(nobody.stderr, /HOST_UNREACHABLE/);

  const dataDir = await temporaryFolder(t);
  await writeFile(
    path.join(dataDir, 'server.json'),
    JSON.stringify({ url: 'http://127.0.0.1:1', nats_url: nats.url }),
  );
  const found = await dormouse(['nats-req', `${subject}.pause`], { DORMOUSE_DATA_DIR: dataDir });
  t.equal(found.status, 0, 'the server of the data directory is found');

  await nats.stop();
  const stopped = await dormouse(['nats-req', `${subject}.pause`], settings);
  t.equal(stopped.status, 1);
  t.match(stopped.stderr, /BUS_UNAVAILABLE/);
});

t.test('hosts', async (t) => {
  const nats = await startTestNats(t);
  const bus = await connectTestBus(t, nats.url);
  const settings = { NATS_URL: nats.url };
  const host = (...args: string[]) => dormouse(['host', ...args], settings);

  const none = await host('list');
  t.equal(none.status, 0);
  t.match(none.stderr, /no hosts/);
  t.match((await host('info')).stderr, /No host lives/);

  let leaks: Array<{ kind: string; name: string; detail: string }> = [];
  for (const id of ['h-one', 'h-two']) {
    bus.serveAll(hostSubject(id), [
      endpoint(hostCommands.info, async () => hostInfo(id)),
      endpoint(hostCommands.leaks, async () => ({ leaks })),
    ]);
  }
  // Each use of the directory sets its entries' life to some seconds, which a slow machine may need for one command.
  const announced = async (ids: string[], ...args: string[]) => {
    for (const id of ids) await bus.hosts.announce(hostInfo(id));
    return host(...args);
  };

  const info = await announced(['h-one'], 'info');
  t.equal(info.status, 0, 'the only host needs no name');
  t.match(info.stdout.toString(), /^memory: +512 MiB of 8 GiB$/m);
  t.match(info.stdout.toString(), /^templates: +minimal \(3 MiB, warm: 1x512x20480\)$/m);

  const both = ['h-one', 'h-two'];
  t.match(
    lines(await announced(both, 'list'))[1],
    /^h-one +ready +1 +1\/32 +512 MiB\/8 GiB +20 GiB +qemu tcg +\d+[sm] +0\.1\.0$/,
  );
  t.match(json(await announced(both, 'list', '--json')), {
    hosts: [{ host_id: 'h-one' }, { host_id: 'h-two' }],
  });
  const which = await announced(both, 'info');
  t.equal(which.status, 1);
  t.match(which.stderr, /h-one, h-two/);
  t.match(json(await host('info', 'h-two', '--json')), { host_id: 'h-two' });

  t.equal((await host('leaks', 'h-two')).status, 0);
  leaks = [{ kind: 'loop', name: '/dev/loop7', detail: 'no sandbox holds it' }];
  const leaking = await host('leaks', 'h-two');
  t.equal(leaking.status, 1);
  t.match(lines(leaking)[1], /^loop +\/dev\/loop7 +no sandbox holds it$/);
  t.same(json(await host('leaks', 'h-two', '--json')), { leaks });
});
