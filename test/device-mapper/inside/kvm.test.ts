import { readdir } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { consoleSays, limit, nextTick, processExists, startLab } from '../../support/machines.ts';

/** The kernel has a KVM that works: so QEMU's driver runs real machines on it, and not only by emulation. */

const lab = await startLab(t);

t.test('KVM is found to boot a kernel', async (t) => {
  // A busy host may not let the emulated machine run for some seconds.
  const probe = { ...lab.assets, memoFile: path.join(lab.dir, 'accelerator.json'), silenceMs: 60_000 };
  const driver = lab.driver({ accelerator: 'auto', probe });
  t.same(await driver.accelerator(limit(400_000)), { name: 'kvm', reason: 'KVM boots a kernel' });
});

t.test('a machine on KVM boots, sleeps with its memory, and goes on where it was', async (t) => {
  const driver = lab.driver({ accelerator: 'kvm' });
  const { spec, live } = await lab.machine();
  let vm = await driver.start(spec, limit());
  await consoleSays(driver, vm, /TEST-READY/);
  for (const round of [1, 2]) {
    const before = await nextTick(driver, vm);
    await driver.freeze(vm, limit());
    await driver.save(vm, live, limit());
    await driver.stop(vm, 2_000, limit());
    t.notOk(await processExists(vm.pid), 'its process is gone');

    vm = await driver.restore(spec, live, limit());
    t.equal(await driver.status(vm, limit()), 'frozen');
    await driver.discardSave(live);
    t.same((await readdir(live)).sort(), ['disk', 'memory']);
    await driver.thaw(vm, limit());
    const after = await nextTick(driver, vm);
    t.ok(after > before, `round ${round}: ${before}, then ${after}`);
  }
  await driver.stop(vm, 2_000, limit());
});
