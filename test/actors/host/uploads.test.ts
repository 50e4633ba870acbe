import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { Uploads } from '../../../src/actors/host/uploads.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { newUploadId } from '../../../src/ids.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const TEAM = '00000000-0000-4000-8000-000000000001';
const OTHER_TEAM = '00000000-0000-4000-8000-000000000002';
/** Four uploads each. */
const teamOf = (count: number): string => `00000000-0000-4000-8000-0000000000${10 + Math.floor(count / 4)}`;
const HOUR_MS = 3_600_000;

async function uploadsIn(t: Test, { maxMb = 1 } = {}) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-uploads-'));
  const clock = fakeClock();
  const space = { isFull: false };
  const uploads = new Uploads({
    root,
    maxMb,
    clock,
    async checkSpace() {
      if (space.isFull) throw new DormouseError('DISK_FULL', 'no space');
    },
  });
  t.teardown(async () => {
    await uploads.stop();
    await rm(root, { recursive: true, force: true });
  });
  const id = newUploadId();
  const send = (offset: number, bytes: string | Buffer, changes = {}) =>
    uploads.append({
      upload_id: id,
      team_id: TEAM,
      attempt: 'a',
      offset,
      data: Buffer.from(bytes).toString('base64'),
      ...changes,
    });
  const content = (team = TEAM): Promise<string> =>
    uploads.take(id, team, async (file) => await readFile(file, 'utf8'));
  return { root, clock, space, uploads, id, send, content };
}

t.test('pieces make a file; one that is there already changes nothing', async (t) => {
  const { send, content, root } = await uploadsIn(t);
  t.same(await send(0, 'one '), { bytes: 4 });
  t.same(await send(0, 'ONE '), { bytes: 4 });
  t.same(await send(2, '??two'), { bytes: 7 }, 'of one that is there in part the rest is taken');
  t.same(await send(7, ''), { bytes: 7 });
  t.equal(await content(), 'one two');
  t.same(await readdir(root), [], 'it is gone after it was used');
});

t.test('pieces in any order and number make the same file, or are refused', async (t) => {
  const pieces = fc.array(fc.tuple(fc.nat(12), fc.nat(12)), { maxLength: 12 });
  const seed = Math.trunc(Math.random() * 2 ** 31);
  t.comment(`seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(pieces, async (list) => {
      const { send, content } = await uploadsIn(t);
      const whole = 'abcdefghijklmnopqrstuvwxyz';
      let bytes = 0;
      for (const [offset, length] of [[0, 0] as const, ...list]) {
        const sent = send(offset, whole.slice(offset, offset + length));
        if (offset > bytes)
          await sent.then(
            () => Promise.reject(new Error('a gap was taken')),
            (error) => t.match(error, { code: 'UPLOAD_BROKEN', data: { bytes } }),
          );
        else {
          bytes = Math.max(bytes, offset + length);
          const reply = await sent;
          if (reply.bytes !== bytes) throw new Error(`${reply.bytes} instead of ${bytes}`);
        }
      }
      if (bytes > 0 && (await content()) !== whole.slice(0, bytes)) throw new Error('another file');
    }),
    { seed, numRuns: 50 },
  );
});

t.test('many pieces at once are written one after the other', async (t) => {
  const { send, content } = await uploadsIn(t);
  const sent = [...'abcdefgh'].map((letter, offset) => send(offset, letter));
  await Promise.all(sent);
  t.equal(await content(), 'abcdefgh');
});

t.test('another attempt begins anew, and the one before can neither add to it nor discard it', async (t) => {
  const { send, content, uploads, id, root } = await uploadsIn(t);
  await send(0, 'AAAA');
  await t.rejects(send(4, 'bb', { attempt: 'b' }), { code: 'UPLOAD_BROKEN' }, 'it begins at its beginning');
  t.same(await send(0, 'bb', { attempt: 'b' }), { bytes: 2 });
  for (const offset of [0, 2, 4]) await t.rejects(send(offset, 'AA'), { code: 'UPLOAD_BROKEN' });
  await uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' });
  t.same(await send(2, 'b', { attempt: 'b' }), { bytes: 3 });
  t.equal(await content(), 'bbb');
  t.same(await readdir(root), []);
});

t.test('a piece that waits while its upload is forgotten begins another, or finds none', async (t) => {
  const { send, uploads, id, root, content } = await uploadsIn(t);
  await send(0, 'one');
  const discarded = uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' });
  await t.rejects(send(3, 'more'), { code: 'UPLOAD_BROKEN', data: { bytes: 0 } });
  await discarded;
  t.same(await readdir(root), [], 'and no file is left that nobody knows');
  await send(0, 'one');
  const [, sent] = await Promise.all([
    uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' }),
    send(0, 'two', { attempt: 'b' }),
  ]);
  t.same(sent, { bytes: 3 });
  t.equal(await content(), 'two');
});

t.test('what is too large, or finds no space, leaves what is there', async (t) => {
  const { send, space } = await uploadsIn(t);
  await send(0, Buffer.alloc(2 ** 20 - 1));
  await t.rejects(send(2 ** 20 - 1, 'ab'), { code: 'PAYLOAD_TOO_LARGE', data: { limit_bytes: 2 ** 20 } });
  space.isFull = true;
  await t.rejects(send(2 ** 20 - 1, 'a'), { code: 'DISK_FULL' });
  space.isFull = false;
  t.same(await send(2 ** 20 - 1, 'a'), { bytes: 2 ** 20 });
});

t.test('an upload belongs to its team', async (t) => {
  const { send, content, uploads, id, root } = await uploadsIn(t);
  await send(0, 'secret');
  await t.rejects(send(6, 'x', { team_id: OTHER_TEAM }), { code: 'INVALID_REQUEST' });
  await t.rejects(content(OTHER_TEAM), { code: 'INVALID_REQUEST' });
  await t.rejects(uploads.discard({ upload_id: id, team_id: OTHER_TEAM, attempt: 'a' }), {
    code: 'INVALID_REQUEST',
  });
  await uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' });
  t.same(await readdir(root), []);
  await uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' });
  await t.rejects(content(), { code: 'UPLOAD_BROKEN' });
  await t.rejects(send(6, 'x'), { code: 'UPLOAD_BROKEN', data: { bytes: 0 } });
});

t.test('what is no base64 is refused, and so is more than there is room for', async (t) => {
  const { send, uploads } = await uploadsIn(t);
  await t.rejects(send(0, '', { data: 'a!' }), { code: 'INVALID_REQUEST' });
  const another = (team_id: string) => send(0, 'x', { upload_id: newUploadId(), team_id });
  for (let count = 0; count < 4; count += 1) await another(TEAM);
  await t.rejects(another(TEAM), { code: 'RATE_LIMITED', detail: /4 uploads of your team/ });
  for (let count = 4; count < 32; count += 1) await another(teamOf(count));
  await t.rejects(another(OTHER_TEAM), { code: 'RATE_LIMITED', detail: /32 uploads are under way/ });
  t.same(await uploads.strays(), []);
});

t.test('while it is built from, nothing is added and nobody else has it', async (t) => {
  const { send, content, uploads, id, clock, root } = await uploadsIn(t);
  await send(0, 'whole');
  await t.rejects(
    uploads.take(id, TEAM, async (file) => {
      await t.rejects(send(5, '!'), { code: 'UPLOAD_BROKEN' });
      t.same(await send(9, '!', { attempt: 'b' }), { bytes: 10 }, 'the same request again need not know');
      await t.rejects(content(), { code: 'UPLOAD_BROKEN' });
      await uploads.discard({ upload_id: id, team_id: TEAM, attempt: 'a' });
      clock.advance(2 * HOUR_MS);
      t.same(await uploads.forgetIdle(), []);
      await writeFile(`${file}.work`, '');
      t.same(await uploads.strays(), [], 'what is unpacked of it is no stray');
      throw new Error('not a tar');
    }),
    { message: 'not a tar' },
  );
  t.same(await readdir(root), [`${id}.work`]);
  t.same(await uploads.strays(), [`${id}.work`], 'and is one when that is over');
  await uploads.removeStray(`${id}.work`);
  t.same(await readdir(root), []);
});

t.test('one that is left alone is forgotten, and so is all that an earlier agent left', async (t) => {
  const { send, uploads, clock, root, id } = await uploadsIn(t);
  await send(0, 'a');
  clock.advance(HOUR_MS - 1);
  t.same(await uploads.forgetIdle(), []);
  await send(1, 'b');
  clock.advance(HOUR_MS);
  t.same(await uploads.forgetIdle(), [id]);
  t.same(await readdir(root), []);
  await writeFile(path.join(root, newUploadId()), 'left');
  t.equal(await uploads.begin(), 1);
  t.same(await readdir(root), []);
});
