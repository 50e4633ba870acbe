import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { systemClock } from '../../../src/clock.ts';
import { createGuestDriver } from '../../../src/drivers/guest/index.ts';
import type { GuestDriver, GuestEndpoint, GuestExecRequest } from '../../../src/drivers/guest/types.ts';

/** The guest kit as an ordinary process under AddressSanitizer and UndefinedBehaviorSanitizer. */

const guest = path.join(import.meta.dirname, '../../../guest');

export interface Kit {
  endpoint: GuestEndpoint;
  driver: GuestDriver;
  pid: number;
  /** Ends it as a person would. What the sanitizers said; empty when all is well. Can be called again. */
  stop(): Promise<{ exitCode: number | undefined; stderr: string }>;
}

/** Builds the programs of the kit's tests, once for however many tests run at a time. */
export async function buildKit(): Promise<string> {
  const build = path.join(guest, 'build');
  await execa('mkdir', ['-p', build]);
  await execa('flock', [path.join(build, '.lock'), 'make', '-s', '-C', guest, 'test']);
  return build;
}

/** Starts a kit on a free port of loopback with a token of its own. */
export async function startKit(): Promise<Kit> {
  const build = await buildKit();
  const token = randomBytes(32).toString('hex');
  const child = execa(path.join(build, 'kit-sanitized'), ['serve', '0', token], {
    stdin: 'ignore',
    reject: false,
    env: { ASAN_OPTIONS: 'detect_leaks=1:exitcode=99' },
  });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    endpoint: { address: '127.0.0.1', port: Number(port), token },
    driver: createGuestDriver({ clock: systemClock }),
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      const { exitCode, stderr } = await child;
      return { exitCode, stderr };
    },
  };
}

/** A request to run a program, with the values that most tests want. */
export function execRequest(argv: string[], more: Partial<GuestExecRequest> = {}): GuestExecRequest {
  return { execId: randomBytes(8).toString('hex'), argv, timeoutMs: 0, outputLimitBytes: 1 << 20, ...more };
}

/** A deadline, so that a test which would hang fails. */
export const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);

/** A bare connection to the kit. */
export async function connect(endpoint: GuestEndpoint): Promise<net.Socket> {
  const socket = net.connect({ host: endpoint.address, port: endpoint.port, noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the connection is over, however it ends. */
export function readAll(socket: net.Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  return new Promise((resolve) => {
    const done = (): void => resolve(Buffer.concat(pieces));
    if (socket.closed) done();
    else socket.once('close', done);
  });
}
