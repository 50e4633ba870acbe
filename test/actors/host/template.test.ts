import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { checkSizes, defaultsOf, sourceOf } from '../../../src/actors/host/template.ts';
import { sandboxInput } from '../sandbox/support.ts';
import { makeTemplate, snapshotFolder, TEAM, templateFile, templateStore } from './template-folders.ts';

const KERNEL = { kernelPath: '/new/kernel', initrdPath: '/new/initrd' };
const SAVED_KERNEL = { kernelPath: '/k', initrdPath: '/i' };
const SHAPE = { vcpus: 1, memoryMb: 512 };
const wish = (changes = {}) =>
  sandboxInput({}, { template: 'python', vcpus: 1, memory_mb: 512, disk_size_mb: 20_480, ...changes })
    .options;

t.test(
  'a sandbox starts from the booted state of its shape, if its disk is not larger than wished',
  async (t) => {
    const { templates, open, store } = await templateStore(t);
    await makeTemplate(templates);
    const template = templates.get(TEAM, 'python');
    const cold = { source: { kind: 'image', imagePath: template.imagePath }, kernel: KERNEL };
    t.same(sourceOf(template, wish(), KERNEL), cold);
    t.equal(templates.hasWarm(template, SHAPE), false);

    await templates.keepWarm(template, SHAPE, await snapshotFolder(path.join(store, 'first')));
    t.equal(templates.hasWarm(template, SHAPE), true);
    const { source, kernel } = sourceOf(template, wish(), KERNEL);
    t.match(source, { kind: 'snapshot' });
    t.same(kernel, SAVED_KERNEL, 'it is loaded with the kernel that it was booted with');
    const dir = source.kind === 'snapshot' ? source.dir : '';
    t.equal(await readFile(path.join(dir, 'memory'), 'utf8'), 'memory of first');
    t.notOk((await readdir(store)).includes('first'), 'it was moved');

    t.same(sourceOf(template, wish({ disk_size_mb: 40_960 }), KERNEL).source, source, 'a disk can grow');
    t.same(sourceOf(template, wish({ disk_size_mb: 20_479 }), KERNEL), cold, 'and not shrink');
    t.same(sourceOf(template, wish({ memory_mb: 1024 }), KERNEL), cold);
    t.same(sourceOf(template, wish({ vcpus: 2 }), KERNEL), cold);

    await templates.keepWarm(template, SHAPE, await snapshotFolder(path.join(store, 'second')));
    t.equal(
      await readFile(path.join(dir, 'memory'), 'utf8'),
      'memory of second',
      'a newer one takes its place',
    );

    const later = await open();
    t.same(sourceOf(later.get(TEAM, 'python'), wish(), KERNEL).source, source, 'and is found again');
    t.match(await later.describe(), [{ name: 'python', warm: ['1x512x20480'] }]);
  },
);

t.test('a booted state that is damaged is not used', async (t) => {
  const { templates, open, paths } = await templateStore(t);
  const { id } = await makeTemplate(templates);
  for (const [key, text] of [
    ['1x512', '{"v":1,'],
    ['2x512', '{"disk_size_mb":100}'],
  ] as const) {
    await mkdir(path.join(paths.templates, id, 'warm', key), { recursive: true });
    await writeFile(path.join(paths.templates, id, 'warm', key, 'meta.json'), text);
  }
  const template = (await open()).get(TEAM, 'python');
  t.match(sourceOf(template, wish(), KERNEL), { source: { kind: 'image' } });
  t.equal(template.warm.size, 0);
});

t.test('one with memory is loaded as it is, with its kernel, and in no other shape', async (t) => {
  const { templates } = await templateStore(t);
  await templates.make({ teamId: TEAM, name: 'awake', overwrite: false }, async ({ id, dir }) => {
    await snapshotFolder(path.join(dir, 'snapshot'), { disk_size_mb: 2048 });
    return templateFile(id, { name: 'awake', kind: 'snapshot', memory: true, disk_size_mb: 2048 });
  });
  const template = templates.get(TEAM, 'awake');
  t.same(templates.images(), [], 'there is no image that could be expanded');
  t.same(sourceOf(template, wish(), KERNEL), {
    source: { kind: 'snapshot', dir: path.join(template.dir, 'snapshot') },
    kernel: SAVED_KERNEL,
  });
  t.doesNotThrow(() => checkSizes(template, wish({ disk_size_mb: 2048 })));
  t.throws(() => checkSizes(template, wish({ disk_size_mb: 2047 })), {
    code: 'INVALID_SIZE',
    data: { disk_size_mb: 2047, minimum_mb: 2048 },
  });
  for (const other of [{ vcpus: 2 }, { memory_mb: 1024 }])
    t.throws(() => checkSizes(template, wish(other)), {
      code: 'INVALID_SIZE',
      data: { vcpus: 1, memory_mb: 512, template_vcpus: 1, template_memory_mb: 512, ...other },
    });
  t.equal(templates.hasWarm(template, SHAPE), true, 'nothing is to be booted');
});

t.test('where a start command ran, no disk is smaller than the one that it ran on', async (t) => {
  const { templates } = await templateStore(t);
  const made = await makeTemplate(templates, { start_cmd: 'serve', disk_size_mb: 4096 });
  t.equal(made.size_mb, 4096);
  t.throws(() => checkSizes(templates.get(TEAM, 'python'), wish({ disk_size_mb: 4095 })), {
    code: 'INVALID_SIZE',
    data: { minimum_mb: 4096 },
  });
});

t.test('defaults are what was said, and nothing else', async (t) => {
  const { templates } = await templateStore(t);
  await makeTemplate(templates, { name: 'plain' });
  await makeTemplate(templates, { user: 'app', cwd: '/app', env: { A: '1' } });
  t.same(defaultsOf(templates.get(TEAM, 'plain')), { env: {} });
  t.same(defaultsOf(templates.get(TEAM, 'python')), { user: 'app', cwd: '/app', env: { A: '1' } });
});

t.test('what a template takes is what the blocks of all its files take', async (t) => {
  const { templates, store } = await templateStore(t);
  const before = await templates.make(
    { teamId: TEAM, name: 'python', overwrite: false },
    async ({ id, dir }) => {
      await writeFile(path.join(dir, 'rootfs.ext4'), Buffer.alloc(8192, 1));
      await truncate(path.join(dir, 'rootfs.ext4'), 64 * 2 ** 20);
      return templateFile(id);
    },
  );
  t.ok(before.allocated_bytes >= 8192 && before.allocated_bytes < 2 ** 20, `${before.allocated_bytes}`);
  const saved = await snapshotFolder(path.join(store, 'saved'));
  await writeFile(path.join(saved, 'memory'), Buffer.alloc(2 ** 20, 1));
  await templates.keepWarm(templates.get(TEAM, 'python'), SHAPE, saved);
  const [after] = await templates.describe();
  t.ok(after && after.allocated_bytes >= before.allocated_bytes + 2 ** 20, `${after?.allocated_bytes}`);
});
