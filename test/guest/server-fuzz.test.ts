import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { encodeFrame, FrameType, string, u8, u16, u32, u64 } from '../../src/drivers/guest/frames.ts';
import { hasCode } from '../../src/errors/index.ts';
import { connect, execRequest, readAll, startKit, within } from '../drivers/guest/kit.ts';

/**
 * The kit's server under sanitizers against conversations that are random, cut, or damaged. It must go on to serve
 * others, and end cleanly.
 */

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const parameters = { seed, numRuns: 1000 };
const LIMIT_MS = 20_000;

const kit = await startKit();
const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-fuzz-'));
t.teardown(async () => {
  await kit.stop();
  await rm(dir, { recursive: true });
});

const hello = encodeFrame(
  FrameType.hello,
  Buffer.from('DMSE'),
  u8(1),
  Buffer.from(kit.endpoint.token, 'hex'),
);
const execOf = (id: string, argv: string[]): Buffer =>
  encodeFrame(
    FrameType.exec,
    string(id),
    u32(500),
    u32(4096),
    string('/'),
    string(''),
    u16(argv.length),
    ...argv.map((argument) => string(argument)),
    u16(1),
    string('A=b'),
  );
const stdin = (offset: bigint, text: string): Buffer =>
  encodeFrame(FrameType.stdin, u64(offset), Buffer.from(text));
const identity = encodeFrame(
  FrameType.identify,
  u64(1n),
  randomBytes(64),
  string('host'),
  Buffer.alloc(32, 97),
  Buffer.alloc(6),
  Buffer.alloc(32),
);
/** Conversations in which any byte may be changed: none of them writes to a path. */
const conversations: Buffer[] = [
  [encodeFrame(FrameType.ping)],
  [encodeFrame(FrameType.grow)],
  [encodeFrame(FrameType.grow, u64(2n ** 40n))],
  [encodeFrame(FrameType.powerOff)],
  [identity],
  [
    execOf('cat', ['/bin/cat']),
    stdin(0n, 'some '),
    stdin(5n, 'input'),
    stdin(0n, 'some input'),
    encodeFrame(FrameType.stdinEnd),
  ],
  [execOf('true', ['/bin/true'])],
  [encodeFrame(FrameType.kill, string('cat'), u8(15))],
  [encodeFrame(FrameType.read, string('/etc/passwd'), u32(100_000))],
].map((frames) => Buffer.concat([hello, ...frames]));
const writing = Buffer.concat([
  hello,
  encodeFrame(FrameType.write, string(path.join(dir, 'file')), u32(0o600)),
  encodeFrame(FrameType.data, Buffer.from('content')),
  encodeFrame(FrameType.dataEnd),
]);

/** Says it, in two pieces, and ends; what comes back is not looked at. */
async function say(bytes: Uint8Array, cut = 0): Promise<void> {
  const socket = await connect(kit.endpoint);
  socket.write(bytes.subarray(0, cut));
  socket.end(bytes.subarray(cut));
  await readAll(socket);
}

/** A connection that has gone holds its memory until the kit has seen it; until then others are asked to come again. */
async function servesOthers(t: Test): Promise<void> {
  for (const patience = within(LIMIT_MS); ; ) {
    const outcome = await kit.driver
      .exec(kit.endpoint, execRequest(['true']), patience)
      .catch((error: unknown) => error);
    if (hasCode(outcome, 'MAILBOX_FULL')) continue;
    t.match(outcome, { exitCode: 0 }, 'it still serves others');
    return;
  }
}

t.test('random bytes, before the hello and after it', async (t) => {
  const property = fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 300 }), async (known, bytes) => {
    await say(known ? Buffer.concat([hello, bytes]) : bytes);
  });
  await fc.assert(property, parameters);
  await servesOthers(t);
});

t.test('conversations that end in the middle', async (t) => {
  const any = fc.constantFrom(...conversations, writing);
  const property = fc.asyncProperty(any, fc.nat(), fc.nat(300), async (whole, end, cut) => {
    await say(whole.subarray(0, end % (whole.length + 1)), cut);
  });
  await fc.assert(property, parameters);
  await servesOthers(t);
  t.same(
    (await readdir(dir)).filter((name) => name !== 'file'),
    [],
    'no file that is not whole is left',
  );
});

t.test('flipped bits', async (t) => {
  const flips = fc.array(fc.nat(10_000), { minLength: 1, maxLength: 4 });
  const any = fc.constantFrom(...conversations);
  const property = fc.asyncProperty(any, flips, fc.boolean(), async (whole, flips, spareHello) => {
    const bytes = Buffer.from(whole);
    const from = spareHello ? hello.length * 8 : 0;
    for (const flip of flips) {
      const at = from + (flip % (bytes.length * 8 - from));
      bytes.writeUInt8(bytes.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
    }
    await say(bytes);
  });
  await fc.assert(property, parameters);
  await servesOthers(t);
});

t.test('valid frames in any order, many connections at a time', async (t) => {
  const pieces = [
    hello,
    stdin(0n, 'x'),
    stdin(99n, 'x'),
    encodeFrame(FrameType.stdinEnd),
    encodeFrame(FrameType.data),
    encodeFrame(FrameType.dataEnd),
    encodeFrame(0xff),
    identity,
    execOf('any', ['/bin/cat']),
    encodeFrame(FrameType.kill, string('any'), u8(9)),
  ];
  const talk = fc.array(fc.constantFrom(...pieces), { maxLength: 8 });
  const property = fc.asyncProperty(fc.array(talk, { maxLength: 12 }), async (talks) => {
    await Promise.all(talks.map((frames) => say(Buffer.concat([hello, ...frames]))));
  });
  await fc.assert(property, { seed, numRuns: 60 });
  await servesOthers(t);
});

t.test('large frames on many connections do not take all memory', async (t) => {
  const header = Buffer.from([0, 0, 0x40, 0, FrameType.exec]);
  const sockets = await Promise.all(Array.from({ length: 20 }, () => connect(kit.endpoint)));
  const almost = Buffer.concat([hello, header, Buffer.alloc(3 << 20)]);
  const answers = sockets.map(readAll);
  for (const socket of sockets) socket.write(almost);
  const refused = await Promise.race(answers);
  t.match(refused.toString('latin1'), 'too large together');
  for (const socket of sockets) socket.destroy();
  await Promise.all(answers);
  await servesOthers(t);
});

t.test('it ends cleanly, without a word of the sanitizers', async (t) => {
  t.same(await kit.stop(), { exitCode: 0, stderr: '' });
});
