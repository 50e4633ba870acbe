import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { connectBus } from '../../src/bus/connect.ts';
import { systemClock } from '../../src/clock.ts';
import { startNats } from '../../src/embedded/nats.ts';
import { connectTestBus, exampleTransition, exampleView } from '../support/bus.ts';
import { listens } from '../support/listens.ts';
import { silentLog, until } from '../support/nats.ts';

const options = { clock: systemClock, log: silentLog };

async function temporaryFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-nats-'));
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

async function pidOf(dir: string): Promise<number> {
  return JSON.parse(await readFile(path.join(dir, 'pid.json'), 'utf8')).pid;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

t.test('the private server', async (t) => {
  const dir = await temporaryFolder(t);
  const nats = await startNats({ dir, ...options });
  t.teardown(() => nats.stop());
  const bus = await connectTestBus(t, nats.url);
  const sandbox = exampleView();
  await bus.events.append(exampleTransition(sandbox, 1));

  await t.test('lets nobody in without its password, which only its user can read', async (t) => {
    const url = new URL(nats.url);
    t.equal(url.hostname, '127.0.0.1');
    for (const credentials of ['', 'dormouse:wrong@']) {
      const refused = connectBus({ url: `nats://${credentials}${url.host}`, name: 'test', ...options });
      await t.rejects(refused, { code: 'BUS_UNAVAILABLE' });
    }
    t.equal((await stat(dir)).mode & 0o777, 0o700);
    t.equal((await stat(path.join(dir, 'credentials.json'))).mode & 0o777, 0o600);
    const commandLine = await readFile(`/proc/${await pidOf(dir)}/cmdline`, 'utf8');
    t.notMatch(commandLine, url.password, 'the password is not on the command line');
  });

  await t.test('comes back on the same port when it is killed', async (t) => {
    const killed = await pidOf(dir);
    process.kill(killed, 'SIGKILL');
    await until(() => bus.status() === 'disconnected', 'the loss is noticed');
    await until(() => bus.status() === 'connected', 'the bus is back');
    t.not(await pidOf(dir), killed);
    await until(
      () =>
        bus.events.append(exampleTransition(sandbox, 2)).then(
          () => true,
          () => false,
        ),
      'JetStream works again',
    );
  });

  await t.test(
    'comes back when another program had the port meanwhile and hung up on everybody',
    async (t) => {
      const squatter = net.createServer((socket) => socket.destroy());
      process.kill(await pidOf(dir), 'SIGKILL');
      await until(() => listens(squatter, Number(new URL(nats.url).port)), 'the port is taken');
      await until(() => bus.status() === 'disconnected', 'the loss is noticed');
      // Long enough for a start, which fails, and for its probe, which meets the other program.
      await setTimeout(1_000);
      await new Promise((resolve) => squatter.close(resolve));
      await until(() => bus.status() === 'connected', 'the bus is back');
      t.ok(isAlive(await pidOf(dir)));
    },
  );

  await t.test('keeps credentials and streams over a stop and a start', async (t) => {
    const pid = await pidOf(dir);
    await nats.stop();
    await nats.stop();
    t.equal(isAlive(pid), false);
    t.notOk((await readdir(dir)).includes('pid.json'));
    const again = await startNats({ dir, ...options });
    t.teardown(() => again.stop());
    t.equal(new URL(again.url).password, new URL(nats.url).password);
    const reader = await connectTestBus(t, again.url);
    const stop = new AbortController();
    const seen: number[] = [];
    const consuming = reader.events.consume(
      'reader',
      async (event) => {
        seen.push(event.transition.seq);
        await event.ack();
      },
      stop.signal,
    );
    await until(() => seen.length === 2, 'both events are there');
    t.same(seen, [1, 2]);
    stop.abort();
    await consuming;
    await reader.drain();
    await again.stop();
  });
});

t.test(
  'the server ends when its agent is killed, and the next agent starts one on the same folder',
  async (t) => {
    const dir = await temporaryFolder(t);
    const agent = execa(
      process.execPath,
      [fileURLToPath(new URL('../support/embedded-nats-agent.ts', import.meta.url)), dir],
      { reject: false },
    );
    t.teardown(() => agent.kill('SIGKILL'));
    await once(agent.stdout, 'data');
    const pid = await pidOf(dir);
    t.equal(isAlive(pid), true);
    agent.kill('SIGKILL');
    await until(() => !isAlive(pid), 'the server has ended');
    const nats = await startNats({ dir, ...options });
    t.not(await pidOf(dir), pid);
    await nats.stop();
  },
);
