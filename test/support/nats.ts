import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { pino } from 'pino';
import type { Test } from 'tap';

/** A logger that says nothing. */
export const silentLog = pino({ level: 'silent' });

export interface TestNats {
  /** Address with no credentials, unless a configuration asks for them. */
  readonly url: string;
  readonly port: number;
  /** Folder of the server, for files of the test. */
  readonly dir: string;
  /** Ends the server without warning, as a crash does. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Ends the server in order. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Starts the server again: same port, same JetStream folder. Resolves when it greets. */
  start(): Promise<void>;
}

/**
 * Starts a real nats-server with JetStream in a folder of its own, on a free port. The test's teardown stops it and
 * removes the folder.
 *
 * @param config further configuration, such as accounts and permissions
 */
export async function startTestNats(t: Test, config = ''): Promise<TestNats> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-nats-'));
  const configFile = path.join(dir, 'server.conf');
  await writeFile(configFile, `${config}\n`);
  let port = -1;
  let running: { end(signal: NodeJS.Signals): Promise<void> } | undefined;

  async function start(): Promise<void> {
    if (running) return;
    const args = ['--config', configFile, '--addr', '127.0.0.1', '--port', String(port)];
    const subprocess = execa(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        '--',
        'nats-server',
        ...args,
        '--jetstream',
        '--store_dir',
        dir,
        '--ports_file_dir',
        dir,
      ],
      { all: true, reject: false, stdin: 'ignore', env: { PATH: `${process.env.PATH}:/usr/sbin` } },
    );
    let exited: string | undefined;
    const ended = subprocess.then((result) => {
      exited = String(result.all);
    });
    running = {
      async end(signal) {
        running = undefined;
        subprocess.kill(signal);
        await ended;
      },
    };
    const portsFile = path.join(dir, `nats-server_${subprocess.pid}.ports`);
    const giveUpAt = Date.now() + 20_000;
    for (;;) {
      try {
        if (port === -1) {
          port = Number(new URL(JSON.parse(await readFile(portsFile, 'utf8')).nats[0]).port);
        }
        await greeted(port);
        return;
      } catch (error) {
        if (exited !== undefined) throw new Error(`nats-server ended: ${exited}`);
        if (Date.now() > giveUpAt) throw new Error('nats-server did not come up', { cause: error });
        await delay(10);
      }
    }
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => running?.end(signal);

  t.teardown(async () => {
    await end('SIGKILL');
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  await start();
  return {
    get url() {
      return `nats://127.0.0.1:${port}`;
    },
    get port() {
      return port;
    },
    dir,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    start,
  };
}

async function greeted(port: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'data', { signal: AbortSignal.timeout(2_000) });
  } finally {
    socket.destroy();
  }
}

/** Waits until `condition` holds, looking every few milliseconds; throws with `what` after `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await delay(10);
  }
}
