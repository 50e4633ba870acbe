import { once } from 'node:events';
import t from 'tap';
import {
  dormouse,
  eventually,
  http,
  newDataDir,
  type Running,
  removeDataDir,
  run,
  startDormouse,
  traces,
  tracesLeft,
  type View,
} from '../support/dormouse.ts';
import { sandboxesIn } from '../support/host-lab.ts';
import { until } from '../support/nats.ts';

/** The agent goes and comes back; virtual machines and paused sandboxes do not notice. */

t.setTimeout(300_000);

const dataDir = await newDataDir();
let server: Running = await startDormouse(dataDir);
t.teardown(async () => {
  // Machines outlive the server, and a test that failed has not destroyed them.
  for (const id of await sandboxesIn(dataDir))
    await http(server, 'DELETE', `/sandboxes/${id}`).catch(() => {});
  await server.stop();
  await removeDataDir(dataDir);
});

const create = async (): Promise<View> =>
  (await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' })).body;
const machines = async (): Promise<string[]> =>
  (await traces(dataDir)).filter((line) => line.includes('qemu'));

t.test(
  'an agent that is killed: the next one adopts the machine, and exec works on the same processes',
  async (t) => {
    const { id } = await create();
    await run(server, id, 'sleep 1000 >/dev/null 2>&1 & echo $! > /tmp/pid');
    const pid = await run(server, id, 'cat /tmp/pid');
    const before = await machines();
    t.equal(before.length, 1);
    await server.kill();
    t.same(await machines(), before, 'the virtual machine runs on');
    server = await startDormouse(dataDir);
    t.same(await machines(), before, 'and is the same process');
    t.equal((await http<View>(server, 'GET', `/sandboxes/${id}`)).body.state, 'running');
    t.equal(await run(server, id, `kill -0 ${pid} && echo alive`), 'alive');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    t.equal(await run(server, id, `kill -0 ${pid} && echo alive`), 'alive');
    await http(server, 'DELETE', `/sandboxes/${id}`);
    t.same(await machines(), []);
  },
);

t.test(
  'an agent that is stopped leaves running and paused sandboxes as they are, and finds them again',
  async (t) => {
    const [running, paused] = await Promise.all([create(), create()]);
    await run(server, paused.id, 'echo remember > /tmp/remember');
    await http(server, 'POST', `/sandboxes/${paused.id}/pause`);
    t.equal(await server.stop(), 0);
    t.match(server.output(), running.id, 'it says which run on');
    t.match(server.output(), '--pause-on-exit');
    t.equal((await machines()).length, 1);
    server = await startDormouse(dataDir);
    t.equal((await http<View>(server, 'GET', `/sandboxes/${running.id}`)).body.state, 'running');
    t.equal(await run(server, running.id, 'echo here'), 'here');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${paused.id}/resume`)).body.state, 'running');
    t.equal(await run(server, paused.id, 'cat /tmp/remember'), 'remember');
    await Promise.all([running, paused].map(({ id }) => http(server, 'DELETE', `/sandboxes/${id}`)));
  },
);

t.test('--pause-on-exit pauses what runs', async (t) => {
  await server.stop();
  server = await startDormouse(dataDir, {}, ['up', '--pause-on-exit']);
  const { id } = await create();
  t.equal(await server.stop(), 0);
  t.same(await tracesLeft(dataDir), [], 'nothing runs and nothing is mounted');
  server = await startDormouse(dataDir);
  t.equal((await http<View>(server, 'GET', `/sandboxes/${id}`)).body.state, 'paused');
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test('a second server on the same data directory refuses', async (t) => {
  const { exitCode, stderr, stdout } = await dormouse(['up'], {
    DORMOUSE_DATA_DIR: dataDir,
    DORMOUSE_HTTP_PORT: '0',
  });
  t.equal(exitCode, 1);
  t.match(stderr + stdout, /DATA_DIR_IN_USE|data directory/i);
  t.equal((await fetch(`${server.url}/healthz`)).status, 200, 'the first one goes on');
});

for (const onTimeout of ['pause', 'destroy'] as const) {
  t.test(
    `a time that ran out while the agent was down is dealt with at its start: ${onTimeout}`,
    async (t) => {
      const { body } = await http<View>(server, 'POST', '/sandboxes', {
        template: 'minimal',
        timeout_s: 2,
        on_timeout: onTimeout,
      });
      await server.kill();
      t.equal((await machines()).length, 1, 'the machine runs on');
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, Date.parse(String(body.expires_at)) - Date.now())),
      );
      server = await startDormouse(dataDir);
      const end = onTimeout === 'pause' ? 'paused' : 'destroyed';
      t.equal((await eventually(server, body.id, ({ state }) => state === end)).state, end);
      t.same(await machines(), []);
      if (onTimeout === 'pause') await http(server, 'DELETE', `/sandboxes/${body.id}`);
      await until(async () => (await sandboxesIn(dataDir)).length === 0, 'nothing is left of it');
    },
  );
}

/** Starts a server that is killed at the point, asks it, and starts another one when it has died. */
async function losingTheReply(point: string, ask: () => Promise<unknown>): Promise<void> {
  await server.stop();
  server = await startDormouse(dataDir, { DORMOUSE_FAULTS: `${point}=kill` });
  const died = once(server.process, 'exit');
  await ask().then(
    () => Promise.reject(new Error(`the server answered, though it was to die at "${point}"`)),
    () => {},
  );
  await died;
  server = await startDormouse(dataDir);
}

for (const [point, when] of [
  ['welcomeGuest done', 'at the last step'],
  ['watchVm begins', 'when it ran already'],
] as const) {
  t.test(`a create whose answer was lost, ${when}: asked again, it is the same sandbox`, async (t) => {
    const key = { 'idempotency-key': `lost at ${point}`.replaceAll(' ', '-') };
    const ask = () => http<View>(server, 'POST', '/sandboxes', { template: 'minimal' }, key);
    await losingTheReply(point, ask);
    const [made, ...others] = await sandboxesIn(dataDir);
    t.same(others, [], 'there is one');
    const { status, body } = await ask();
    t.match([status, body], [201, { id: made, state: 'running' }]);
    t.same(await sandboxesIn(dataDir), [made]);
    t.equal((await machines()).length, 1);
    t.equal(await run(server, body.id, 'echo here'), 'here');
    t.match((await ask()).body, { id: made, state: 'running' }, 'and once more');
    await http(server, 'DELETE', `/sandboxes/${body.id}`);
  });
}

for (const point of ['saveVm done', 'commitSnapshot done', 'flushSnapshot begins']) {
  t.test(`a pause whose answer was lost at "${point}": asked again, it is paused once`, async (t) => {
    const { id } = await create();
    await run(server, id, 'echo in memory > /run/kept');
    const key = { 'idempotency-key': 'pause-1' };
    const ask = () => http<View>(server, 'POST', `/sandboxes/${id}/pause`, {}, key);
    await losingTheReply(point, ask);
    const { status, body } = await ask();
    t.match([status, body], [200, { id, state: 'paused', execution: 1 }]);
    t.same(await machines(), []);
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    t.equal(await run(server, id, 'cat /run/kept'), 'in memory');
    t.match(
      (await ask()).body,
      { state: 'paused', execution: 1 },
      'the same answer again, not a second pause',
    );
    t.equal((await http<View>(server, 'GET', `/sandboxes/${id}`)).body.state, 'running');
    await http(server, 'DELETE', `/sandboxes/${id}`);
  });
}

t.test('in the end nothing is left', async (t) => {
  await server.stop();
  t.same(await tracesLeft(dataDir), []);
});
