import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { systemClock } from '../../../src/clock.ts';
import { encodeFrame, FrameReader, FrameType, u8, u16, u32, u64 } from '../../../src/drivers/guest/frames.ts';
import { createGuestDriver } from '../../../src/drivers/guest/index.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { execRequest, within } from './kit.ts';

/** A guest that answers anything at all: the driver says so in an error of ours, at once, and nothing else happens. */

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const LIMIT_MS = 3000;

/** What the server answers to the next connection, in these pieces, before it closes. */
let answer: Uint8Array[] = [];
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => {
    for (const piece of answer) socket.write(piece);
    socket.end();
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
t.teardown(() => server.close());

const endpoint = {
  address: '127.0.0.1',
  port: (server.address() as AddressInfo).port,
  token: '00'.repeat(32),
};
const driver = createGuestDriver({ clock: systemClock });
const requests = {
  exec: () => driver.exec(endpoint, execRequest(['true'], { stdin: Buffer.alloc(70_000) }), within(LIMIT_MS)),
  readFile: () => driver.readFile(endpoint, '/file', 10_000, within(LIMIT_MS)),
  writeFile: () => driver.writeFile(endpoint, '/file', Buffer.from('x'), 0o644, within(LIMIT_MS)),
  growRoot: () => driver.growRoot(endpoint, 0, within(LIMIT_MS)),
  kill: () => driver.kill(endpoint, 'id', 'SIGTERM', within(LIMIT_MS)),
};
type Name = keyof typeof requests;

const started = encodeFrame(FrameType.started, u32(7), u64(0n), u8(0));
const exit = encodeFrame(FrameType.exit, u8(0), u8(0), u8(0), u64(5n), u64(3n), u64(2n));
const output = (type: number, offset: bigint, text: string) =>
  encodeFrame(type, u64(offset), Buffer.from(text));
const ok = encodeFrame(FrameType.ok, u64(1234n), Buffer.from('1'));
const error = encodeFrame(FrameType.error, u16(5), Buffer.from('the kit failed'));
const valid = {
  exec: Buffer.concat([started, output(0x83, 0n, 'ab'), output(0x84, 0n, 'xy'), output(0x83, 2n, 'c'), exit]),
  file: Buffer.concat([encodeFrame(FrameType.data, Buffer.from('content')), encodeFrame(FrameType.dataEnd)]),
  ok,
  error: Buffer.concat([started, error]),
};

/** Codes that say that the answer was no answer, and those that a guest may give of its own. */
const BROKEN = ['GUEST_PROTOCOL', 'GUEST_UNREACHABLE', 'EXEC_INTERRUPTED'];
const SAID = /^The guest says: /;

/** Sends a request whose answer is `bytes`. Throws unless it ends in time, with a result or an error of ours. */
async function ask(name: Name, bytes: Uint8Array, cutAt: number): Promise<string> {
  answer = [bytes.subarray(0, cutAt), bytes.subarray(cutAt)].filter(({ length }) => length > 0);
  const startedAt = performance.now();
  const outcome = await requests[name]().then(
    () => 'result',
    (error: unknown) => {
      if (!(error instanceof DormouseError)) throw error;
      if (BROKEN.includes(error.code) || SAID.test(error.message.replace(`${error.code}: `, '')))
        return error.code;
      throw error;
    },
  );
  if (performance.now() - startedAt >= LIMIT_MS) throw new Error(`${name} waited for its deadline`);
  return outcome;
}

const name = fc.constantFrom(...(Object.keys(requests) as Name[]));
const stream = fc.constantFrom(...Object.values(valid));
const parameters = { seed, numRuns: 400 };

t.test('the answers themselves are understood', async (t) => {
  answer = [valid.exec];
  const result = await requests.exec();
  t.match(result, { exitCode: 0, stdoutTruncated: false, stderrTruncated: false });
  t.equal(`${Buffer.from(result.stdout)}|${Buffer.from(result.stderr)}`, 'abc|xy');
  t.equal(await ask('readFile', valid.file, 3), 'result');
  for (const simple of ['growRoot', 'kill', 'writeFile'] as const)
    t.equal(await ask(simple, ok, 2), 'result');
  t.equal(await ask('growRoot', error, 1), 'GUEST_PROTOCOL');
});

t.test('random bytes', async () => {
  const property = fc.asyncProperty(
    name,
    fc.uint8Array({ maxLength: 200 }),
    fc.nat(200),
    async (name, bytes, cut) => {
      await ask(name, bytes, cut);
    },
  );
  await fc.assert(property, parameters);
});

t.test('answers that end too early never count as whole', async () => {
  const property = fc.asyncProperty(fc.nat(1000), fc.nat(100), async (at, cut) => {
    const whole = valid.exec;
    const outcome = await ask('exec', whole.subarray(0, at % whole.length), cut);
    if (outcome !== 'EXEC_INTERRUPTED') throw new Error(outcome);
    const file = valid.file;
    const read = await ask('readFile', file.subarray(0, at % file.length), cut);
    if (read !== 'GUEST_UNREACHABLE') throw new Error(read);
  });
  await fc.assert(property, { seed, numRuns: 150 });
});

t.test('answers with flipped bits', async () => {
  const flips = fc.array(fc.nat(2000), { minLength: 1, maxLength: 4 });
  const property = fc.asyncProperty(name, stream, flips, fc.nat(100), async (name, valid, flips, cut) => {
    const bytes = Buffer.from(valid);
    for (const flip of flips) {
      const at = flip % (bytes.length * 8);
      bytes.writeUInt8(bytes.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
    }
    await ask(name, bytes, cut);
  });
  await fc.assert(property, parameters);
});

t.test('valid frames in any order', async () => {
  const frames = fc.array(
    fc.constantFrom(
      started,
      exit,
      ok,
      error,
      output(0x83, 0n, 'a'),
      output(0x84, 9n, 'b'),
      output(0x83, 0n, ''),
    ),
    {
      maxLength: 6,
    },
  );
  const property = fc.asyncProperty(name, frames, async (name, frames) => {
    await ask(name, Buffer.concat(frames), 10);
  });
  await fc.assert(property, parameters);
});

t.test('frames are the same however the bytes are cut', async () => {
  const property = fc.property(
    fc.array(stream),
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
    (streams, cuts) => {
      const bytes = Buffer.concat(streams);
      const whole = new FrameReader().push(bytes);
      const reader = new FrameReader();
      const pieces = [];
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const size = cuts[i % cuts.length] ?? 1;
        pieces.push(...reader.push(bytes.subarray(at, at + size)));
        at += size;
      }
      return JSON.stringify(pieces) === JSON.stringify(whole);
    },
  );
  fc.assert(property, parameters);
});
