import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { systemClock as clock } from '../../../../src/clock.ts';
import { tryToBoot } from '../../../../src/drivers/vmm/qemu/accelerator.ts';
import { findQemu } from '../../../../src/drivers/vmm/qemu/launch.ts';
import { consoleSays, limit, startLab } from '../../../support/machines.ts';

const lab = await startLab(t);

t.test('a missing program is told with what to install', async (t) => {
  const { spec } = await lab.machine();
  for (const qemu of ['qemu-system-nowhere', '/nowhere/qemu']) {
    const driver = lab.driver({ qemu, accelerator: 'auto' });
    const missing = { code: 'VMM_MISSING', detail: /apt-get install qemu-system-x86/ };
    await t.rejects(driver.start(spec, limit()), missing);
    await t.rejects(driver.accelerator(limit()), missing);
  }
});

t.test('a start that fails says why and leaves no process', async (t) => {
  const driver = lab.driver();
  const { spec } = await lab.machine();
  const noDisk = { ...spec, diskPath: '/nowhere/disk' };
  await t.rejects(driver.start(noDisk, limit()), { code: 'VMM_FAILED', detail: /\/nowhere\/disk/ });
  const noNamespace = { ...spec, slot: { ...spec.slot, namespacePath: '/run/netns/nowhere' } };
  await t.rejects(driver.start(noNamespace, limit()), { code: 'VMM_FAILED', detail: /nowhere/ });
  const noMemory = { ...spec, memoryPath: '/nowhere/memory' };
  await t.rejects(driver.start(noMemory, limit()), { code: 'DATA_DIR_UNWRITABLE' });
  t.equal(await driver.find(spec.sandboxId, spec.runDir), undefined);

  const vm = await driver.start(spec, limit());
  await consoleSays(driver, vm, /TEST-READY/);
  await driver.stop(vm, 0, limit());
});

t.test('a start whose caller has gone leaves no process', async (t) => {
  const driver = lab.driver();
  const { spec } = await lab.machine();
  await driver.accelerator(limit());
  const controller = new AbortController();
  const reason = new Error('enough');
  const starting = driver.start(spec, controller.signal);
  const giveUp = clock.after(15, () => controller.abort(reason));
  await t.rejects(starting, reason);
  giveUp.cancel();
  t.equal(await driver.find(spec.sandboxId, spec.runDir), undefined);
});

t.test('the accelerator is decided by a boot, and remembered', async (t) => {
  const memoFile = path.join(lab.dir, 'decided.json');
  const probe = { ...lab.assets, memoFile };
  const first = await lab.driver({ accelerator: 'auto', probe }).accelerator(limit());
  t.ok(first.reason.length > 0, `${first.name}: ${first.reason}`);
  const remembered = await readFile(memoFile, 'utf8').catch(() => undefined);
  if (/cannot be opened/.test(first.reason)) {
    t.equal(remembered, undefined, 'a device that is not there now may come');
    return;
  }
  t.same(JSON.parse(remembered ?? '').accelerator, first);

  // A kernel that is not there would fail the trial, so the answer that comes is the remembered one.
  const broken = { kernelPath: '/nowhere', initrdPath: '/nowhere', memoFile };
  t.same(await lab.driver({ accelerator: 'auto', probe: broken }).accelerator(limit()), first);
  await rm(memoFile);
  t.equal((await lab.driver({ accelerator: 'auto', probe: broken }).accelerator(limit())).name, 'tcg');
  t.match(await lab.driver({ accelerator: 'kvm' }).accelerator(limit()), { name: 'kvm', reason: /settings/ });
});

t.test('the trial tells a kernel that boots from one that does not', async (t) => {
  const qemu = await findQemu('qemu-system-x86_64');
  const missing = { ...lab.assets, kernelPath: '/nowhere' };
  t.match(await tryToBoot(qemu, 'tcg', missing, clock, limit()), /nowhere/);
  const reason = new Error('enough');
  await t.rejects(tryToBoot(qemu, 'tcg', lab.assets, clock, AbortSignal.abort(reason)), reason);
  const left = await execa('pgrep', ['-f', `^${qemu}.*${lab.dir}`], { reject: false });
  t.equal(left.stdout, '', 'the trials have ended');
});
