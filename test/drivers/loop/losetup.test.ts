import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import {
  attachReadOnly,
  detachLoop,
  fileIdOf,
  listLoops,
  parseLoops,
} from '../../../src/drivers/loop/losetup.ts';
import { hasCode } from '../../../src/errors/index.ts';
import { imageFolder } from '../../actors/loop-registry/support.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const { signal } = new AbortController();

t.test('a loop device from its beginning to its end', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('with space.img');
  const device = await attachReadOnly(image, signal);
  const shown = async () => (await listLoops(signal)).find((loop) => loop.device === device);
  const fileId = await fileIdOf(image);
  const loop = { device, backingFile: image, fileId, readOnly: true, autoclear: false, deleted: false };
  t.same(await shown(), loop);
  t.not(await attachReadOnly(image, signal), device, 'each call takes another device');
  await rm(image);
  t.same(await shown(), { ...loop, deleted: true });
  await detachLoop(device, signal);
  // Others list loop devices too, which opens them for a moment; it goes when the last one has closed it.
  while ((await shown())?.backingFile === image) await setImmediate();
});

t.test('errors carry the command and its words', async (t) => {
  const images = await imageFolder(t);
  const absent = path.join(images.folder, 'absent.img');
  await t.rejects(attachReadOnly(absent, signal), {
    code: 'LOOP_FAILED',
    data: {
      command: ['losetup', '--find', '--show', '--read-only', '--', absent],
      output: `losetup: ${absent}: failed to set up loop device: No such file or directory`,
      exit_status: 1,
    },
  });
  const folder = path.join(images.folder, 'folder');
  await mkdir(folder);
  await t.rejects(attachReadOnly(folder, signal), { code: 'LOOP_FAILED', data: { exit_status: 1 } });
  await t.rejects(detachLoop('/dev/loop-absent', signal), { code: 'LOOP_FAILED' });
  const reason = new Error('no longer wanted');
  await t.rejects(listLoops(AbortSignal.abort(reason)), reason, 'the reason of an abort comes through');
});

t.test('what losetup lists', async (t) => {
  t.same(parseLoops(''), [], 'it prints nothing where there is no loop device');
  t.same(parseLoops('{"loopdevices": []}'), []);
  t.match(
    parseLoops(
      '{"loopdevices": [{"name": "/dev/loop0", "back-file": "/x/b.img (deleted)", "back-ino": 12, "back-maj:min": "     254:0  ", "ro": true, "autoclear": true}]}',
    ),
    [{ device: '/dev/loop0', backingFile: '/x/b.img', fileId: '254:0:12', autoclear: true, deleted: true }],
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseLoops(text);
      } catch (error) {
        return hasCode(error, 'LOOP_FAILED');
      }
      return true;
    }),
    { seed },
  );
});
