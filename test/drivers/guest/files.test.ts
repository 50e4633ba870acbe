import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { connect, startKit, within } from './kit.ts';

/** Files of a guest, read and written through the driver. */

const LIMIT_MS = 20_000;
const kit = await startKit();
const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-files-'));
t.teardown(async () => {
  const { exitCode, stderr } = await kit.stop();
  await rm(dir, { recursive: true });
  if (exitCode !== 0 || stderr !== '') throw new Error(`the kit ended with ${exitCode}: ${stderr}`);
});
const read = (file: string, limit: number) =>
  kit.driver.readFile(kit.endpoint, file, limit, within(LIMIT_MS));
const write = (file: string, content: Uint8Array, mode = 0o644) =>
  kit.driver.writeFile(kit.endpoint, file, content, mode, within(LIMIT_MS));

t.test('what is written is read, whatever its size', async (t) => {
  for (const size of [0, 1, 65_535, 65_536, 65_537, 3 << 20]) {
    const content = randomBytes(size);
    const file = path.join(dir, `size-${size}`);
    await write(file, content, 0o640);
    t.ok(content.equals(await read(file, size)), `${size} bytes, and exactly that limit`);
    t.equal((await stat(file)).mode & 0o7777, 0o640);
  }
});

t.test('a file is replaced as a whole, and an upload that is cut leaves nothing', async (t) => {
  const file = path.join(dir, 'whole');
  await write(file, Buffer.from('old'));
  const before = await readdir(dir);
  const socket = await connect(kit.endpoint);
  const name = Buffer.from(file);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(name.length);
  const frame = (type: number, ...parts: Buffer[]): Buffer => {
    const header = Buffer.alloc(5);
    header.writeUInt32LE(Buffer.concat(parts).length);
    header.writeUInt8(type, 4);
    return Buffer.concat([header, ...parts]);
  };
  const hello = frame(1, Buffer.from('DMSE\x01'), Buffer.from(kit.endpoint.token, 'hex'));
  socket.write(
    Buffer.concat([
      hello,
      frame(0x31, size, name, Buffer.from([0, 2, 0, 0])),
      frame(0x90, Buffer.from('new')),
    ]),
  );
  while ((await readdir(dir)).length === before.length)
    await kit.driver.waitReady(kit.endpoint, within(LIMIT_MS));
  socket.destroy();
  while ((await readdir(dir)).length > before.length)
    await kit.driver.waitReady(kit.endpoint, within(LIMIT_MS));
  t.equal(Buffer.from(await read(file, 100)).toString(), 'old');
});

t.test('a file beyond the limit is refused, never cut', async (t) => {
  const file = path.join(dir, 'large');
  await writeFile(file, randomBytes(1001));
  await t.rejects(read(file, 1000), { code: 'PAYLOAD_TOO_LARGE', message: /1001 bytes.*1000/ });
  await truncate(file, 1000);
  t.equal((await read(file, 1000)).length, 1000);
  await t.rejects(read('/proc/self/maps', 100), { code: 'PAYLOAD_TOO_LARGE' }, 'one whose size nobody knows');
  t.match(Buffer.from(await read('/proc/self/comm', 100)).toString(), 'kit');
});

t.test('what is no file, and what cannot be written', async (t) => {
  const pipe = path.join(dir, 'pipe');
  await execa('mkfifo', [pipe]);
  for (const file of [
    path.join(dir, 'missing'),
    dir,
    pipe,
    '/dev/zero',
    'relative',
    '',
    `/${'x'.repeat(5000)}`,
  ])
    await t.rejects(read(file, 100), { code: 'INVALID_REQUEST' }, file.slice(0, 40));
  for (const file of [path.join(dir, 'missing/file'), '/proc/nothing', 'relative', ''])
    await t.rejects(write(file, Buffer.from('x')), { code: 'INVALID_REQUEST' }, file);
  // Far more than the kit has read when it answers: the answer must not be lost in the reset of the connection.
  await t.rejects(write(path.join(dir, 'missing/file'), randomBytes(8 << 20)), { code: 'INVALID_REQUEST' });
});
