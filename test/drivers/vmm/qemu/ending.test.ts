import { access } from 'node:fs/promises';
import t from 'tap';
import type { QemuDriver } from '../../../../src/drivers/vmm/qemu/index.ts';
import type { VmExit, VmRef } from '../../../../src/drivers/vmm/types.ts';
import {
  consoleSays,
  limit,
  nextTick,
  processExists,
  secondMachine,
  startLab,
} from '../../../support/machines.ts';
import { until } from '../../../support/nats.ts';

const lab = await startLab(t);
const driver = lab.driver();

/** Watches a machine; `exits` are what it was told. */
function watched(by: QemuDriver, vm: VmRef): { exits: VmExit[]; undo: () => void } {
  const exits: VmExit[] = [];
  return { exits, undo: by.watch(vm, (exit) => exits.push(exit)) };
}

t.test('a watch says why a machine ended', async (t) => {
  for (const [role, reason] of [
    ['poweroff', 'guest-shutdown'],
    ['panic', 'guest-panic'],
  ] as const) {
    const { spec } = await lab.machine(role);
    const vm = await driver.start(spec, limit());
    const { exits } = watched(driver, vm);
    await until(() => exits.length > 0, `the machine that does ${role} ends`, 60_000);
    t.match(exits, [{ reason }]);
    t.equal(await driver.status(vm, limit()), 'gone');
    await t.rejects(driver.freeze(vm, limit()), { code: 'VMM_GONE' });
  }
  const { spec } = await lab.machine();
  const vm = await driver.start(spec, limit());
  const { exits, undo } = watched(driver, vm);
  const other = watched(driver, vm);
  const undone = watched(driver, vm);
  undone.undo();
  process.kill(vm.pid, 'SIGKILL');
  await until(() => exits.length > 0 && other.exits.length > 0, 'the killed machine ends');
  t.match(exits, [{ reason: 'killed', detail: /SIGKILL/ }]);
  t.same(undone.exits, []);
  undo();
});

t.test('stop is complete, silent, and can be done again', async (t) => {
  const { spec } = await lab.machine();
  const { sandboxId, runDir } = spec;
  await driver.stop({ sandboxId, runDir }, 1_000, limit());
  const vm = await driver.start(spec, limit());
  const { exits } = watched(driver, vm);
  await driver.stop(vm, 2_000, limit());
  t.notOk(await processExists(vm.pid));
  await driver.stop(vm, 2_000, limit());
  await driver.stop({ sandboxId, runDir }, 0, limit());
  await t.rejects(access(`${runDir}/qmp.sock`));
  await t.rejects(access(`${runDir}/qemu.pid`));

  // Only the run folder is known, and the reference is that of the machine before.
  for (const known of [{ sandboxId, runDir }, vm]) {
    const next = await driver.start(spec, limit());
    await driver.stop(known, 2_000, limit());
    t.notOk(await processExists(next.pid));
  }
  t.same(exits, [], 'a machine that was stopped is not reported');
});

t.test('a reference to a pid that is somebody else now kills nobody', async (t) => {
  const { spec } = await lab.machine();
  const { sandboxId, runDir } = spec;
  const notOurs = { sandboxId, runDir, pid: process.pid, startTicks: '1' };
  t.equal(await driver.status(notOurs, limit()), 'gone');
  await driver.stop(notOurs, 0, limit());
  t.pass('this process lives');
});

t.test(
  'kill ends one process and leaves the other one of its run folder, and the folder, alone',
  async (t) => {
    const { spec } = await lab.machine();
    const vm = await driver.start(spec, limit());
    const { exits } = watched(driver, vm);
    const child = secondMachine(t, spec.runDir);
    const listed = async (): Promise<VmRef[]> =>
      (await driver.list(lab.dir)).filter(({ sandboxId }) => sandboxId === spec.sandboxId);
    await until(async () => (await listed()).length === 2, 'both are listed');
    const second = (await listed()).find(({ pid }) => pid !== vm.pid);
    if (!second) throw new Error('it was listed');
    t.equal(second.pid, child.pid);
    await driver.kill({ ...second, startTicks: '1' }, limit());
    t.equal((await listed()).length, 2, 'a pid that was another process before is not touched');
    await driver.kill(second, limit());
    t.same(await listed(), [vm]);
    t.equal(child.signalCode, 'SIGKILL');
    await driver.kill(second, limit());
    t.same(await listed(), [vm], 'the one that is left is not taken for the one that has ended');
    t.same(exits, []);
    for (const file of ['qmp.sock', 'qemu.pid']) await access(`${spec.runDir}/${file}`);
    t.same(await lab.driver().find(spec.sandboxId, spec.runDir), vm);
    t.equal(await driver.status(vm, limit()), 'running');
    await driver.kill(vm, limit());
    t.same(await listed(), []);
    t.same(exits, [], 'a machine that was killed is not reported');
  },
);

t.test('a monitor that hangs does not hold its caller, and is stopped', async (t) => {
  const { spec } = await lab.machine();
  const vm = await driver.start(spec, limit());
  await nextTick(driver, vm);
  process.kill(vm.pid, 'SIGSTOP');
  const reason = new Error('enough');
  const controller = new AbortController();
  const freezing = driver.freeze(vm, controller.signal);
  controller.abort(reason);
  await t.rejects(freezing, reason);
  // A driver that has no connection yet hangs in another place.
  const stranger = lab.driver();
  const asking = new AbortController();
  const status = stranger.status(vm, asking.signal);
  asking.abort(reason);
  await t.rejects(status, reason);
  await driver.stop(vm, 300, limit());
  t.notOk(await processExists(vm.pid));
});

t.test('there is one machine for a run folder', async (t) => {
  const { spec } = await lab.machine();
  const vm = await driver.start(spec, limit());
  await t.rejects(lab.driver().start(spec, limit()), { code: 'VMM_FAILED', detail: /runs already/ });
  t.equal(await driver.status(vm, limit()), 'running');
  t.same(await driver.find(spec.sandboxId, spec.runDir), vm);
  t.same(await driver.list(lab.dir), [vm]);
  await driver.stop(vm, 0, limit());
  t.same(await driver.list(lab.dir), []);
});

t.test('a guest that floods its console fills no disk', async (t) => {
  const { spec } = await lab.machine('flood');
  const vm = await driver.start(spec, limit());
  for (let times = 0; times < 3; times += 1)
    await consoleSays(driver, vm, /(?:nobody has to read it\r?\n[^\n]*){50}/);
  t.equal((await driver.readConsole(vm, limit())).length <= 64 * 1024, true);
  await driver.freeze(vm, limit());
  await driver.stop(vm, 0, limit());
});
