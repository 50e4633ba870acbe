import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { DormouseError } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { findProgram, startChild } from './child.ts';

/** The server's configuration, with everything that is the same for each data directory. */
const CONFIG_FILE = fileURLToPath(new URL('../../nats/server.conf', import.meta.url));
const READY_TIMEOUT_MS = 15_000;
const STOP_GRACE_MS = 10_000;

export interface EmbeddedNats {
  /** With user and password: `nats://user:password@127.0.0.1:port`. Stays the same while this process runs. */
  url: string;
  /** Stops the server. May be called any number of times. */
  stop(): Promise<void>;
}

/**
 * Starts the private nats-server of a data directory, on loopback and a free port, with JetStream. One that dies is
 * started again on the same port. The user and password are made at the first start and kept in `<dir>/credentials.json`,
 * readable by this user only.
 *
 * @param options.dir folder of this server alone; made when it does not exist
 * @throws `DEPENDENCY_MISSING` when nats-server is not installed, `CHILD_FAILED` when it does not come up
 */
export async function startNats(options: { dir: string; clock: Clock; log: Logger }): Promise<EmbeddedNats> {
  const { dir, clock, log } = options;
  const program = await findProgram('nats-server', 'nats-server');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const { user, password } = await credentials(path.join(dir, 'credentials.json'));
  await removePortFiles(dir);

  let port: number | undefined;
  const child = await startChild({
    name: 'nats-server',
    program,
    // Port -1 is any free one; the server writes which one into the ports file.
    args: () => [
      ...['--config', CONFIG_FILE],
      ...['--port', String(port ?? -1)],
      ...['--ports_file_dir', dir],
      ...['--store_dir', path.join(dir, 'jetstream')],
    ],
    env: { DORMOUSE_NATS_USER: user, DORMOUSE_NATS_PASSWORD: password },
    stopSignal: 'SIGTERM',
    stopGraceMs: STOP_GRACE_MS,
    readyTimeoutMs: READY_TIMEOUT_MS,
    pidFile: path.join(dir, 'pid.json'),
    async probe(pid) {
      port ??= await readPort(path.join(dir, `nats-server_${pid}.ports`));
      await greeted(port);
    },
    clock,
    log,
  });
  return { url: `nats://${user}:${password}@127.0.0.1:${port}`, stop: child.stop };
}

/** The credentials of the folder, made when there are none. Letters come first, so that the server reads them as text. */
async function credentials(file: string): Promise<{ user: string; password: string }> {
  const found = await readFile(file, 'utf8').catch(() => undefined);
  if (found !== undefined) {
    const { user, password } = JSON.parse(found) as { user?: unknown; password?: unknown };
    if (typeof user === 'string' && typeof password === 'string') return { user, password };
  }
  const made = { user: 'dormouse', password: `pw${randomBytes(24).toString('hex')}` };
  await writeFile(file, `${JSON.stringify(made)}\n`, { mode: 0o600 });
  await chmod(file, 0o600);
  return made;
}

/** A killed server leaves its ports file; a later one with the same pid must not be mistaken for it. */
async function removePortFiles(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (/^nats-server_\d+\.ports$/.test(name)) await rm(path.join(dir, name), { force: true });
  }
}

/** Port of the client listener, from the file that nats-server writes: `{"nats":["nats://127.0.0.1:4222"], …}`. */
async function readPort(file: string): Promise<number> {
  const { nats } = JSON.parse(await readFile(file, 'utf8')) as { nats?: unknown[] };
  const port = Number(new URL(String(nats?.[0])).port);
  if (!(port > 0)) throw new DormouseError('CHILD_FAILED', `The ports file ${file} names no port.`);
  return port;
}

/** Resolves when the server on the port greets with the protocol's first word, `INFO`. */
async function greeted(port: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', timeout: 1_000 });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('timeout', () => reject(new Error('no greeting from the server')));
      // A program that has the port meanwhile may hang up without a word, which is no error of the socket.
      socket.once('close', () => reject(new Error('the connection was closed without a greeting')));
      socket.once('data', (data) =>
        String(data).startsWith('INFO ') ? resolve() : reject(new Error('another program has the port')),
      );
    });
  } finally {
    socket.destroy();
  }
}
