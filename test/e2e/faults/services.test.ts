import { readdir, readFile, rename } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type Answer, eventually, http, run, type View } from '../../support/dormouse.ts';
import { monitorsIn, sandboxesIn } from '../../support/host-lab.ts';
import { listens } from '../../support/listens.ts';
import { until } from '../../support/nats.ts';
import { leaks, stands, up } from './support.ts';

/** NATS and PostgreSQL go away and come back: sandboxes run on, what cannot be done now is said, and nothing is lost. */

t.setTimeout(300_000);

// The first save is that of the template's own machine, at the start of the server.
const server = await up(t, { DORMOUSE_FAULTS: 'saveVm begins:2=hang' });

const create = async (): Promise<View> =>
  (await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' })).body;
const destroy = (id: string): Promise<Answer> => http(server, 'DELETE', `/sandboxes/${id}`);

/** Pid of a server that was started for this one, from the file that its supervisor keeps. */
async function pidOf(child: 'nats' | 'postgres'): Promise<number> {
  return JSON.parse(await readFile(path.join(server.dataDir, child, 'pid.json'), 'utf8')).pid;
}

/** An error that says that the same request may succeed later. */
function isRetryable({ status, body }: Answer): boolean {
  return [503, 504].includes(status) && body.retryable === true;
}

interface Step {
  seq: number;
  from: string | null;
  to: string;
}

async function history(id: string): Promise<Step[]> {
  const { body } = await http<{ transitions: Step[] }>(server, 'GET', `/sandboxes/${id}/transitions`);
  return body.transitions ?? [];
}

t.test(
  'NATS goes away in the middle of a pause: it ends on the host, and the history has it later',
  async (t) => {
    const { id } = await create();
    await run(server, id, 'echo before > /run/before');
    const { port } = new URL(server.natsUrl);
    const pause = http(server, 'POST', `/sandboxes/${id}/pause`);
    await until(() => stands(server), 'the server stands still in the middle of the pause');
    process.kill(await pidOf('nats'), 'SIGKILL');
    // In the way of the next one, so that it stays away until the pause has ended.
    const squatter = net.createServer((socket) => socket.destroy());
    await until(() => listens(squatter, Number(port)), 'the port is free');
    process.kill(Number(server.process.pid), 'SIGCONT');
    await until(async () => {
      const folders = await readdir(path.join(server.dataDir, 'store', 'sandboxes', id));
      return folders.includes('snapshot') && !folders.includes('live');
    }, 'it is paused on the host');
    t.same(await monitorsIn(server.dataDir), []);
    const answer = await pause;
    t.ok(answer.status === 200 || isRetryable(answer), `the answer is ${answer.status} ${answer.body.code}`);
    const during = await http(server, 'GET', `/sandboxes/${id}`);
    t.ok(isRetryable(during), `and to a request ${during.status} ${during.body.code}`);
    await new Promise((resolve) => squatter.close(resolve));
    t.equal((await eventually(server, id, ({ state }) => state === 'paused')).state, 'paused');
    await until(async () => (await history(id)).at(-1)?.to === 'paused', 'the history has the pause');
    const steps = await history(id);
    t.same(
      steps.map(({ seq }) => seq),
      steps.map((_, index) => index + 1),
      'nothing is missing and nothing comes twice',
    );
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    t.equal(await run(server, id, 'cat /run/before'), 'before');
    t.equal((await destroy(id)).status, 200);
  },
);

t.test('NATS is killed and comes back: sandboxes run on, and commands work again', async (t) => {
  const { id } = await create();
  await run(server, id, 'echo before > /tmp/before');
  process.kill(await pidOf('nats'), 'SIGKILL');
  const during = await http(server, 'POST', `/sandboxes/${id}/ping`, {});
  t.ok(during.status === 200 || isRetryable(during), `while it is away: ${during.status}`);
  await until(
    async () => (await http(server, 'POST', `/sandboxes/${id}/ping`, {})).status === 200,
    'commands work again',
  );
  t.equal(await run(server, id, 'cat /tmp/before'), 'before');
  t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
  t.equal((await eventually(server, id, ({ state }) => state === 'paused')).state, 'paused');
  await destroy(id);
});

t.test(
  'PostgreSQL is away: what needs it says so, all else works, and it is brought up to date later',
  async (t) => {
    const { id } = await create();
    await run(server, id, 'echo before > /run/before');
    await until(async () => (await history(id)).at(-1)?.to === 'running', 'the records are up to date');
    const data = path.join(server.dataDir, 'postgres', 'data');
    // Without its cluster it cannot be started again.
    await rename(data, `${data}.away`);
    process.kill(await pidOf('postgres'), 'SIGKILL');
    const before = await sandboxesIn(server.dataDir);
    await until(
      async () => (await http(server, 'GET', '/sandboxes')).status !== 200,
      'the list is not answered any more',
    );
    for (const [method, where, body] of [
      ['GET', '/sandboxes'],
      ['GET', `/sandboxes/${id}/transitions`],
      ['POST', '/sandboxes', { template: 'minimal' }],
    ] as const) {
      const answer = await http(server, method, where, body);
      t.ok(isRetryable(answer), `${method} ${where}: ${answer.status} ${answer.body.code}`);
      t.match(answer.body, { code: 'RECORDS_UNAVAILABLE' });
    }
    t.same(await sandboxesIn(server.dataDir), before, 'the create that was refused made nothing');
    t.equal((await fetch(`${server.url}/healthz`)).status, 200);
    t.equal((await fetch(`${server.url}/readyz`)).status, 503);
    t.equal(await run(server, id, 'cat /run/before'), 'before', 'the guest runs on');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
    t.equal((await http<View>(server, 'GET', `/sandboxes/${id}`)).body.state, 'paused');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
    await rename(`${data}.away`, data);
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200, 'it is back', 60_000);
    await until(async () => (await listed(id)) === 'paused', 'the list has what happened meanwhile');
    const steps = await history(id);
    t.same(
      steps.map(({ seq }) => seq),
      steps.map((_, index) => index + 1),
      'so has the history, each step once',
    );
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
    t.equal(await run(server, id, 'cat /run/before'), 'before');
    const other = await create();
    t.equal(other.state, 'running', 'sandboxes are made again');
    for (const each of [id, other.id]) t.equal((await destroy(each)).status, 200);
  },
);

/** The state that the list shows; undefined when it is not in it. */
async function listed(id: string): Promise<string | undefined> {
  const { body } = await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes');
  return body.sandboxes?.find((one) => one.id === id)?.state;
}

t.test(
  'PostgreSQL is told to end by SIGTERM: every answer is right or can be tried again, until all work',
  async (t) => {
    const { id } = await create();
    const pid = await pidOf('postgres');
    process.kill(pid, 'SIGTERM');
    const seen = new Set<string>();
    await until(
      async () => {
        await sleep(100);
        const list = await http(server, 'GET', '/sandboxes');
        const ping = await http(server, 'POST', `/sandboxes/${id}/ping`, {});
        for (const [what, answer] of [
          ['list', list],
          ['ping', ping],
        ] as const) {
          if (answer.status !== 200 && !isRetryable(answer))
            t.fail(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`);
          seen.add(`${what} ${answer.status}`);
        }
        return list.status === 200 && (await pidOf('postgres')) !== pid;
      },
      'another server answers',
      120_000,
    );
    t.comment([...seen].join(', '));
    t.ok(seen.has('list 200'));
    t.notOk(seen.has('ping 503'), 'a sandbox answers without it');
    await destroy(id);
  },
);

t.test('in the end nothing is left', async (t) => {
  t.same(await leaks(server), []);
  await until(async () => (await sandboxesIn(server.dataDir)).length === 0, 'no folder');
  t.same(await monitorsIn(server.dataDir), []);
});
