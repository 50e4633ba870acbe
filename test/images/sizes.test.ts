import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/clock.ts';
import { ensureImageSizes, growImage, type ImageSizeOptions, shrinkImage } from '../../src/images/sizes.ts';
import { readSuperblock } from '../../src/images/superblock.ts';
import { openTestStore, tempDataDir } from '../support/data-dir.ts';
import {
  beside,
  debugfs,
  dumpe2fs,
  identityOf,
  isSound,
  MIB,
  makeExt4,
  stoppableTools,
  takenBy,
  tempFolder,
} from './support.ts';

const { signal } = new AbortController();

async function newImage(t: Test, sizeMb = 16): Promise<string> {
  return await makeExt4(path.join(await tempFolder(t), 'rootfs.ext4'), sizeMb);
}

/** Looks at all that has to be so of an image of that size. */
async function looksGrown(t: Test, image: string, sizeMb: number): Promise<void> {
  t.equal((await stat(image)).size, sizeMb * MIB, 'the file has the size');
  t.equal((await readSuperblock(image)).sizeBytes, sizeMb * MIB, 'the file system has the size');
  t.ok(await isSound(image), 'e2fsck finds nothing wrong');
  t.equal(await debugfs(image, 'cat greeting'), 'hello', 'the content is there');
  t.same(await beside(image), [], 'nothing is left beside it');
}

for (const where of ['xfs', 'plain'] as const) {
  t.test(`an image is expanded once, and stays sparse, on ${where}`, async (t) => {
    const paths = await tempDataDir(t);
    if (where === 'xfs') await openTestStore(paths);
    const image = path.join(where === 'xfs' ? paths.store : paths.root, 'rootfs.ext4');
    await makeExt4(image, 64, ['-b', '4096', '-E', 'assume_storage_prezeroed=1']);
    if (where === 'plain') await rm(paths.store, { recursive: true, force: true });
    const others = await beside(image);
    const before = await identityOf(image);
    const takenBefore = await takenBy(image);

    t.same(await growImage(image, 20480, signal), {
      changed: true,
      bytesBefore: 64 * MIB,
      bytesAfter: 20480 * MIB,
    });
    t.same(await beside(image), others);
    t.equal((await readSuperblock(image)).sizeBytes, 20480 * MIB);
    t.ok(await isSound(image));
    t.equal(await debugfs(image, 'cat greeting'), 'hello');
    const grownBy = (await takenBy(image)) - takenBefore;
    t.ok(grownBy < 2 * MIB, `${takenBefore} bytes before, ${grownBy} more after`);
    const { groups } = await dumpe2fs(image);
    t.equal(groups.length, 160);
    t.same(
      groups.filter((line) => !line.includes('ITABLE_ZEROED')),
      [],
      'a guest has no inode tables to zero',
    );

    const tools = await stoppableTools(t);
    const grown = await identityOf(image);
    t.not(grown.inode, before.inode, 'the image was replaced as a whole');
    for (const sizeMb of [20480, 64, 1, 0])
      t.match(await growImage(image, sizeMb, signal), { changed: false, bytesAfter: 20480 * MIB });
    t.same(await identityOf(image), grown, 'nothing is done again');
    t.same(await tools.calls(), [], 'no program is started for that');
  });
}

t.test('a size that ends with a rest too small for a block group is reached once too', async (t) => {
  const image = await newImage(t, 64);
  for (const sizeMb of [128, 129, 130, 137, 257]) {
    await growImage(image, sizeMb, signal);
    const { sizeBytes } = await readSuperblock(image);
    t.ok(sizeBytes > (sizeMb - 4) * MIB && sizeBytes <= sizeMb * MIB, `${sizeMb} MiB: ${sizeBytes}`);
    t.match(await growImage(image, sizeMb, signal), { changed: false }, `${sizeMb} MiB`);
  }
});

t.test('what was done in place, and not to its end, is repaired', async (t) => {
  const damage: Record<string, (image: string) => Promise<unknown>> = {
    'a file that was extended, whose file system was not': (image) => truncate(image, 64 * MIB),
    'a file that was extended beyond that': (image) => truncate(image, 96 * MIB),
    'the mark of errors, as a resize2fs that was killed leaves it': (image) =>
      debugfs(image, 'set_super_value state 2'),
    'a file system that is mounted, for all that it knows': (image) =>
      debugfs(image, 'set_super_value state 0'),
    'a journal that was not replayed': (image) => debugfs(image, 'feature needs_recovery'),
    'a wrong count of free blocks': async (image) => {
      await debugfs(image, 'set_super_value free_blocks_count 1');
      await debugfs(image, 'set_super_value state 2');
    },
  };
  for (const [what, harm] of Object.entries(damage)) {
    for (const sizeMb of what.startsWith('a file that') ? [16, 64] : [16]) {
      await t.test(`${what}, ${sizeMb} MiB wanted`, async (t) => {
        const image = await newImage(t);
        await harm(image);
        const bytes = Math.max((await stat(image)).size, sizeMb * MIB);
        t.match(await growImage(image, sizeMb, signal), { changed: true, bytesAfter: bytes });
        await looksGrown(t, image, bytes / MIB);
        t.match(await growImage(image, sizeMb, signal), { changed: false });
      });
    }
  }
  const image = await newImage(t);
  await debugfs(image, 'set_super_value state 2');
  const before = await identityOf(image);
  t.match(
    await growImage(image, 0, signal),
    { changed: false },
    'but not when images are to stay as they are',
  );
  t.same(await identityOf(image), before);
});

t.test('when it is stopped, the image is the old one, and nothing is left', async (t) => {
  const names = ['e2fsck -fy', 'resize2fs', 'e2fsck -fy -E discard'];
  for (const call of [1, 2, 3])
    for (const after of [false, true])
      await t.test(`${after ? 'after' : 'before'} ${names[call - 1]}`, async (t) => {
        const image = await newImage(t);
        const before = await identityOf(image);
        await t.test('stopped', async (t) => {
          const tools = await stoppableTools(t, { call, after });
          const stop = new AbortController();
          const growing = growImage(image, 64, stop.signal);
          await tools.stopped();
          t.equal((await beside(image)).length, 1, 'there is a partial meanwhile');
          const reason = new Error('enough');
          stop.abort(reason);
          await t.rejects(growing, reason);
          t.ok((await tools.calls()).at(-1)?.startsWith(names[call - 1] ?? '?'), 'there it was stopped');
        });
        t.same(await beside(image), []);
        t.same(await identityOf(image), before);
        await growImage(image, 64, signal);
        await looksGrown(t, image, 64);
      });

  const image = await newImage(t);
  const reason = new Error('too late');
  await t.rejects(growImage(image, 64, AbortSignal.abort(reason)), reason);
  await t.rejects(shrinkImage(image, AbortSignal.abort(reason)), reason);
  t.equal((await stat(image)).size, 16 * MIB);
});

t.test('when the agent is killed, the next call removes what it left and begins anew', async (t) => {
  const SIZES = path.join(import.meta.dirname, '..', '..', 'src', 'images', 'sizes.ts');
  const script = `const { growImage } = await import(${JSON.stringify(SIZES)});
    await growImage(process.argv[1], 64, new AbortController().signal);`;
  for (const call of [1, 2, 3])
    await t.test(`in tool ${call}`, async (t) => {
      const image = await newImage(t);
      const before = await identityOf(image);
      await t.test('killed', async (t) => {
        const tools = await stoppableTools(t, { call, after: true });
        // A group of its own, so that the tool, which outlives the agent, is ended as well.
        const agent = spawn(process.execPath, ['--input-type=module', '-e', script, image], {
          detached: true,
          stdio: 'ignore',
          env: { ...process.env, NODE_OPTIONS: '' },
        });
        const ended = once(agent, 'exit');
        await tools.stopped().finally(() => agent.pid !== undefined && process.kill(-agent.pid, 'SIGKILL'));
        await ended;
      });
      t.match(await beside(image), [/^rootfs\.ext4\.grow.*\.partial$/], 'it left a partial');
      t.same(await identityOf(image), before);
      await growImage(image, 64, signal);
      await looksGrown(t, image, 64);
    });

  const image = await newImage(t);
  for (const name of ['grow.partial', 'grow.partial.0123abcd.partial'])
    await writeFile(`${image}.${name}`, 'half');
  const foreign = ['rootfs.ext4.0123abcd.partial', 'template.json'];
  for (const name of foreign) await writeFile(path.join(path.dirname(image), name), 'not ours');
  t.match(await growImage(image, 16, signal), { changed: false });
  t.same(await beside(image), foreign, 'also when nothing is to do; what others write stays');
});

t.test('a tool that fails leaves the image as it was', async (t) => {
  const grow = async (t: Test, call: number, exitCode: number, message: string): Promise<unknown> => {
    const image = await newImage(t);
    const before = await identityOf(image);
    await stoppableTools(t, { call, fail: { exitCode, message } });
    const error = await growImage(image, 64, signal).then(
      () => undefined,
      (error: unknown) => error,
    );
    t.same(await beside(image), []);
    if (error) t.same(await identityOf(image), before);
    return error;
  };
  for (const [call, exitCode, message, expected] of [
    [1, 4, 'errors left', { code: 'DISK_FAILED', detail: /^e2fsck on the image .* exit status 4/ }],
    [1, 12, 'errors left', { code: 'DISK_FAILED', data: { output: /errors left/ } }],
    [1, 5, 'some corrected, some left', { code: 'DISK_FAILED' }],
    [2, 1, 'No space left on device while trying to resize', { code: 'DISK_FULL' }],
    [2, 1, 'Please run e2fsck -f first', { code: 'DISK_FAILED', detail: /^resize2fs/ }],
    [3, 8, 'operational error', { code: 'DISK_FAILED' }],
    [3, 1, 'errors corrected', undefined],
    [3, 3, 'corrected, boot again', undefined],
  ] as const) {
    await t.test(`call ${call}, exit status ${exitCode}`, async (t) => {
      const error = await grow(t, call, exitCode, message);
      if (expected) t.match(error, expected);
      else t.equal(error, undefined);
    });
  }
});

t.test('what is no whole image is refused as it is', async (t) => {
  const image = await newImage(t, 64);
  await truncate(image, 32 * MIB);
  const before = await identityOf(image);
  await t.rejects(growImage(image, 128, signal), {
    code: 'DISK_FAILED',
    detail: /is cut off: it has 33554432 of the file system's 67108864 bytes/,
  });
  t.same(await identityOf(image), before);
  await writeFile(image, 'no file system');
  await t.rejects(growImage(image, 128, signal), { code: 'DISK_FAILED', detail: /is no ext4 file system/ });
  await t.rejects(shrinkImage(image, signal), { code: 'DISK_FAILED', detail: /is no ext4 file system/ });
  t.equal(await readFile(image, 'utf8'), 'no file system');
  await t.rejects(growImage(`${image}-none`, 128, signal), { code: 'DISK_FAILED', detail: /ENOENT/ });
});

t.test('an image is cut to its content, and can be expanded again', async (t) => {
  const image = await newImage(t, 64);
  await growImage(image, 4096, signal);
  const large = path.join(path.dirname(image), 'large');
  await writeFile(large, Buffer.alloc(40 * MIB, 1));
  await debugfs(image, `write ${large} large`);
  const withLarge = await shrinkImage(image, signal);
  t.ok(withLarge > 40 * MIB && withLarge < 120 * MIB, `${withLarge} bytes`);
  await rm(large);
  await looksGrown(t, image, withLarge / MIB);

  await debugfs(image, 'rm large');
  await growImage(image, 4096, signal);
  t.ok((await takenBy(image)) < 20 * MIB, 'what was deleted takes no space');
  const bytes = await shrinkImage(image, signal);
  t.ok(bytes < withLarge - 30 * MIB, `${bytes} bytes`);
  await looksGrown(t, image, bytes / MIB);
  t.equal(await shrinkImage(image, signal), (await stat(image)).size, 'again');
  await looksGrown(t, image, (await stat(image)).size / MIB);
});

/** Runs it on these images, and gives back what it said too. */
async function ensure(changes: Partial<ImageSizeOptions> & Pick<ImageSizeOptions, 'images'>) {
  const lines: Array<Record<string, unknown>> = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  const growing: string[] = [];
  const results = await ensureImageSizes({
    sizeMb: 64,
    usersOf: async () => [],
    growing: (name) => growing.push(name),
    clock: systemClock,
    log: pino({ level: 'debug', serializers: { err: String } }, sink),
    signal,
    ...changes,
  });
  return { results, growing, lines };
}

t.test(
  'all images get the size; one that is in use or damaged is told and left, and stops no other',
  async (t) => {
    const folder = await tempFolder(t);
    const at = (name: string) => ({ name, imagePath: path.join(folder, name) });
    for (const name of ['small', 'used', 'last']) await makeExt4(at(name).imagePath, 16);
    await makeExt4(at('large').imagePath, 96);
    await makeExt4(at('large-used').imagePath, 64);
    await writeFile(at('broken').imagePath, 'no file system');
    const names = ['small', 'used', 'broken', 'none', 'asking', 'large', 'large-used', 'last'];
    await makeExt4(at('asking').imagePath, 16);
    const usedBefore = await identityOf(at('used').imagePath);
    const { results, growing, lines } = await ensure({
      images: names.map(at),
      usersOf: async (imagePath) => {
        if (imagePath.endsWith('asking')) throw new Error('nobody answers');
        return imagePath.endsWith('used') ? ['sb-aaaaaaaaaaaaaaaaaaaa', 'loop7'] : [];
      },
    });
    t.same([...results.keys()], names);
    t.match(Object.fromEntries(results), {
      small: { result: 'grown', bytesBefore: 16 * MIB, bytesAfter: 64 * MIB },
      used: { result: 'in use', bytesAfter: 16 * MIB, users: ['sb-aaaaaaaaaaaaaaaaaaaa', 'loop7'] },
      broken: { result: 'failed', error: { code: 'DISK_FAILED' }, bytesAfter: 14 },
      none: { result: 'failed', error: { code: 'DISK_FAILED' }, bytesAfter: undefined },
      asking: { result: 'failed', error: { code: 'INTERNAL' }, bytesAfter: 16 * MIB },
      large: { result: 'large enough', bytesBefore: 96 * MIB, bytesAfter: 96 * MIB },
      'large-used': { result: 'large enough' },
      last: { result: 'grown' },
    });
    for (const { durationMs } of results.values()) t.ok(Number.isInteger(durationMs) && durationMs >= 0);
    t.same(growing, ['small', 'last'], 'only what is changed is announced');
    t.same(await identityOf(at('used').imagePath), usedBefore);
    t.equal((await readSuperblock(at('last').imagePath)).sizeBytes, 64 * MIB);
    const said = (name: string) => lines.filter(({ template }) => template === name);
    t.match(said('used'), [
      { level: 40, users: ['sb-aaaaaaaaaaaaaaaaaaaa', 'loop7'], msg: /left as it is: it is in use/ },
    ]);
    t.match(said('broken'), [{ level: 50, code: 'DISK_FAILED', err: /is no ext4 file system/ }]);
    t.match(said('small'), [{ level: 30, bytesBefore: 16 * MIB, bytesAfter: 64 * MIB, durationMs: Number }]);
    t.same((await beside(at('small').imagePath)).sort(), [
      'asking',
      'broken',
      'large',
      'large-used',
      'last',
      'used',
    ]);

    const again = await ensure({ images: [at('small'), at('last')] });
    t.match(Object.fromEntries(again.results), {
      small: { result: 'large enough' },
      last: { result: 'large enough' },
    });
    t.same(again.growing, []);
  },
);

t.test('0 leaves all images as they are', async (t) => {
  const image = await newImage(t);
  const before = await identityOf(image);
  const { results } = await ensure({ images: [{ name: 'minimal', imagePath: image }], sizeMb: 0 });
  t.match(results.get('minimal'), { result: 'large enough', bytesAfter: 16 * MIB });
  t.same(await identityOf(image), before);
});

t.test('a host that is told to stop stops expanding, and calls nothing a failure', async (t) => {
  const image = await newImage(t);
  const images = [
    { name: 'first', imagePath: image },
    { name: 'second', imagePath: await newImage(t) },
  ];
  const tools = await stoppableTools(t, { call: 2 });
  const stop = new AbortController();
  const lines: unknown[] = [];
  const ensuring = ensureImageSizes({
    images,
    sizeMb: 64,
    usersOf: async () => [],
    clock: systemClock,
    log: pino(
      { level: 'debug' },
      new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk)) as undefined) }),
    ),
    signal: stop.signal,
  });
  await tools.stopped();
  const reason = new Error('told to stop');
  stop.abort(reason);
  await t.rejects(ensuring, reason);
  t.same(lines, []);
  for (const { imagePath } of images) {
    t.same(await beside(imagePath), []);
    t.equal((await stat(imagePath)).size, 16 * MIB);
  }
});
