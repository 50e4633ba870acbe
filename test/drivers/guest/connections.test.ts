import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { systemClock } from '../../../src/clock.ts';
import { createGuestDriver } from '../../../src/drivers/guest/index.ts';
import type { GuestEndpoint } from '../../../src/drivers/guest/types.ts';
import { hasCode } from '../../../src/errors/index.ts';
import { connect, execRequest, readAll, startKit, within } from './kit.ts';

/** Connections that are cut, strangers, and peers that are no guests. */

const LIMIT_MS = 20_000;
const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const kit = await startKit();
t.teardown(async () => {
  const { exitCode, stderr } = await kit.stop();
  if (exitCode !== 0 || stderr !== '') throw new Error(`the kit ended with ${exitCode}: ${stderr}`);
});

/** A server on a free port of loopback, closed with all its connections at the end of the test. */
async function serve(t: Test, serveOne: (socket: net.Socket) => void): Promise<number> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    serveOne(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of open) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}
/** Bytes that pass in each direction before the connection is cut. */
interface Cut {
  toGuest: number;
  toHost: number;
}

t.test('a cut connection loses and doubles nothing, of the input or of the output', async (t) => {
  let cut: Cut = { toGuest: Infinity, toHost: Infinity };
  const port = await serve(t, (socket) => {
    const { toGuest, toHost } = cut;
    const inner = net.connect(kit.endpoint.port, kit.endpoint.address);
    const end = (): void => {
      socket.destroy();
      inner.destroy();
    };
    const pass = (from: net.Socket, to: net.Socket, limit: number): void => {
      let left = limit;
      from.on('data', (bytes) => {
        to.write(bytes.subarray(0, left), () => left <= 0 && end());
        left -= bytes.length;
      });
      from.on('error', end);
      from.on('close', end);
    };
    pass(socket, inner, toGuest);
    pass(inner, socket, toHost);
  });
  const endpoint: GuestEndpoint = { ...kit.endpoint, port };
  const sizes = fc.integer({ min: 1, max: 500_000 });
  const scenario = fc.record({
    cuts: fc.array(fc.record({ toGuest: sizes, toHost: sizes }), { minLength: 1, maxLength: 4 }),
    stdin: fc.integer({ min: 0, max: 400_000 }),
    fill: fc.nat(),
  });
  let interrupted = 0;
  await fc.assert(
    fc.asyncProperty(scenario, async ({ cuts, stdin: size, fill }) => {
      const stdin = Buffer.alloc(size);
      for (let at = 0; at + 4 <= size; at += 4) stdin.writeUInt32LE((at ^ fill) >>> 0, at);
      // The error stream tells how often it was started.
      const request = execRequest(['sh', '-c', 'echo started >&2; cat; echo end'], { stdin });
      for (const next of [...cuts, { toGuest: Infinity, toHost: Infinity }]) {
        cut = next;
        try {
          const result = await kit.driver.exec(endpoint, request, within(LIMIT_MS));
          if (!Buffer.concat([stdin, Buffer.from('end\n')]).equals(result.stdout)) return false;
          if (Buffer.from(result.stderr).toString() !== 'started\n') return false;
        } catch (error) {
          if (!hasCode(error, 'EXEC_INTERRUPTED')) throw error;
          interrupted += 1;
        }
      }
      return true;
    }),
    { seed, numRuns: 40 },
  );
  t.ok(interrupted > 10, `${interrupted} connections were cut in the middle`);
});

t.test('a wrong token, and a frame before the hello', async (t) => {
  const stranger = { ...kit.endpoint, token: 'ab'.repeat(32) };
  await t.rejects(kit.driver.growRoot(stranger, 0, within(LIMIT_MS)), { code: 'GUEST_REFUSED' });
  const input = { stdin: Buffer.alloc(60_000) };
  const call = kit.driver.exec(stranger, execRequest(['true'], input), within(LIMIT_MS));
  await t.rejects(call, { code: 'GUEST_REFUSED' }, 'also when the request came right behind');
  const socket = await connect(kit.endpoint);
  socket.write(Buffer.from([0, 0, 0, 0, 0x10]));
  t.match((await readAll(socket)).toString('latin1'), 'the first frame must be a hello');
  const large = await connect(kit.endpoint);
  large.write(Buffer.from([65, 0, 0, 0, 0x01]));
  t.equal((await readAll(large)).length, 0, 'a frame of 65 bytes before the hello is not even waited for');
});

t.test('strangers that say nothing lock nobody out, and are sent away', async (t) => {
  // A busy machine may take long once; whoever is locked out waits until the strangers are sent away, each time.
  const tookMs: number[] = [];
  while (tookMs.length < 5 && !tookMs.some((ms) => ms < 900)) {
    const strangers = await Promise.all(Array.from({ length: 200 }, () => connect(kit.endpoint)));
    t.teardown(() => strangers.forEach((socket) => void socket.destroy()));
    const startedAt = performance.now();
    const { exitCode } = await kit.driver.exec(kit.endpoint, execRequest(['true']), within(LIMIT_MS));
    tookMs.push(Math.round(performance.now() - startedAt));
    t.equal(exitCode, 0);
    await Promise.all(strangers.map(readAll));
    t.pass('all were closed');
  }
  t.ok(Math.min(...tookMs) < 900, `served after ${tookMs} ms, before any of them was too late`);
});

t.test('a peer that accepts and closes is tried again, not in a tight loop', async (t) => {
  let connections = 0;
  const port = await serve(t, (socket) => {
    connections += 1;
    socket.destroy();
  });
  const endpoint = { ...kit.endpoint, port };
  await t.rejects(kit.driver.waitReady(endpoint, within(2000)), { code: 'GUEST_UNREACHABLE' });
  t.ok(connections >= 2 && connections <= 200, `${connections} tries in 2 s`);
  await t.rejects(kit.driver.growRoot(endpoint, 0, within(LIMIT_MS)), { code: 'GUEST_UNREACHABLE' });
  const call = kit.driver.exec(endpoint, execRequest(['true']), within(LIMIT_MS));
  await t.rejects(call, { code: 'EXEC_INTERRUPTED' });
});

t.test('a peer that is not there yet is waited for', async (t) => {
  const free = net.createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  const driver = createGuestDriver({ clock: systemClock });
  await t.rejects(driver.waitReady({ ...kit.endpoint, port }, within(150)), { code: 'GUEST_UNREACHABLE' });
});
