import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import type { ErrorCode } from '../../../../src/errors/index.ts';
import { limit, nextTick, startLab } from '../../../support/machines.ts';

const lab = await startLab(t);
const driver = lab.driver();

/** A small file system that is full, unmounted at the test's teardown. */
async function mountTmpfs(where: string, options: string): Promise<void> {
  await mkdir(where);
  await execa('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', where]);
  t.teardown(() => execa('umount', [where], { reject: false }));
}

t.test('a save that fails leaves nothing, and the machine as it was', async (t) => {
  const { spec, live } = await lab.machine();
  const missing = path.join(lab.dir, 'missing');
  const readOnly = path.join(lab.dir, 'read-only');
  const full = path.join(lab.dir, 'full');
  await mountTmpfs(readOnly, 'ro,size=1m');
  await mountTmpfs(full, 'size=16k');
  await writeFile(path.join(full, 'something'), Buffer.alloc(8192));

  let vm = await driver.start(spec, limit());
  const cases: Array<[string, ErrorCode]> = [
    [missing, 'DATA_DIR_UNWRITABLE'],
    [readOnly, 'DATA_DIR_UNWRITABLE'],
    [full, 'DISK_FULL'],
  ];
  for (const [dir, code] of cases) {
    const before = await nextTick(driver, vm);
    await driver.freeze(vm, limit());
    for (const attempt of ['first', 'second'])
      await t.rejects(driver.save(vm, dir, limit()), { code }, `${path.basename(dir)}, ${attempt} try`);
    t.equal(await driver.status(vm, limit()), 'frozen');
    await driver.discardSave(dir);
    await driver.thaw(vm, limit());
    t.ok((await nextTick(driver, vm)) > before, 'the guest goes on and writes to its disk');
  }
  t.same(await readdir(full), ['something']);
  t.notOk((await readdir(spec.runDir)).includes('state.sock'));

  // There is room again: the next try, without a thaw between them, is whole.
  const before = await nextTick(driver, vm);
  await driver.freeze(vm, limit());
  await t.rejects(driver.save(vm, full, limit()), { code: 'DISK_FULL' });
  await driver.save(vm, live, limit());
  await driver.stop(vm, 2_000, limit());
  vm = await driver.restore(spec, live, limit());
  await driver.thaw(vm, limit());
  t.ok((await nextTick(driver, vm)) > before);
  await driver.stop(vm, 0, limit());
});

t.test('a save whose caller has gone is undone', async (t) => {
  const { spec, live } = await lab.machine();
  const vm = await driver.start(spec, limit());
  const before = await nextTick(driver, vm);
  await driver.freeze(vm, limit());
  const reason = new Error('enough');
  await t.rejects(driver.save(vm, live, AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const saving = driver.save(vm, live, controller.signal);
  controller.abort(reason);
  await t.rejects(saving, reason);
  t.same((await readdir(live)).sort(), ['disk', 'memory']);
  await driver.save(vm, live, limit());
  await driver.discardSave(live);
  await driver.thaw(vm, limit());
  t.ok((await nextTick(driver, vm)) > before);
  await driver.stop(vm, 0, limit());
  await rm(spec.memoryPath);
});
