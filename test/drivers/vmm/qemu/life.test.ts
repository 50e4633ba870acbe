import { open, readdir, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import { writeState } from '../../../../src/drivers/vmm/qemu/state-file.ts';
import { hasCode } from '../../../../src/errors/index.ts';
import {
  consoleSays,
  limit,
  MEMORY_MB,
  nextTick,
  processExists,
  startLab,
} from '../../../support/machines.ts';

const lab = await startLab(t);
const driver = lab.driver();
const MIB = 2 ** 20;

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

t.test('a machine boots, sleeps with its memory, and goes on where it was', async (t) => {
  const { spec, live } = await lab.machine();
  let vm = await driver.start(spec, limit());
  await consoleSays(driver, vm, /TEST-READY/);
  t.equal(await driver.status(vm, limit()), 'running');
  t.equal((await stat(spec.memoryPath)).size, MEMORY_MB * MIB);
  t.equal((await stat(spec.memoryPath)).mode & 0o777, 0o600);
  t.equal(await readFile(`/proc/${vm.pid}/oom_score_adj`, 'utf8'), '0\n');
  t.notMatch(await readFile(`/proc/${vm.pid}/environ`, 'utf8'), 'HOME=', 'the environment stays here');

  for (const round of [1, 2]) {
    const before = await nextTick(driver, vm);
    await driver.freeze(vm, limit());
    await driver.freeze(vm, limit());
    t.equal(await driver.status(vm, limit()), 'frozen');
    await driver.save(vm, live, limit());
    t.same((await readdir(live)).sort(), ['device.state', 'disk', 'memory']);
    await driver.stop(vm, 2_000, limit());
    t.equal(await driver.status(vm, limit()), 'gone');
    t.notOk(await processExists(vm.pid), 'no zombie either');

    vm = await driver.restore(spec, live, limit());
    t.equal(await driver.status(vm, limit()), 'frozen');
    t.equal(await driver.readConsole(vm, limit()), '', 'nothing runs yet');
    await driver.discardSave(live);
    await driver.discardSave(live);
    t.same((await readdir(live)).sort(), ['disk', 'memory']);
    await driver.thaw(vm, limit());
    await driver.thaw(vm, limit());
    const after = await nextTick(driver, vm);
    t.ok(after > before, `round ${round}: ${before}, then ${after}`);
  }
  await driver.stop(vm, 2_000, limit());
});

t.test('a completed save can be taken back, and made again', async (t) => {
  const { spec, live } = await lab.machine();
  let vm = await driver.start(spec, limit());
  for (let round = 1; round <= 3; round += 1) {
    const before = await nextTick(driver, vm);
    await driver.freeze(vm, limit());
    await driver.save(vm, live, limit());
    // An agent that lost the answer saves again without a thaw.
    if (round === 2) await driver.save(vm, live, limit());
    t.equal(await driver.status(vm, limit()), 'frozen');
    await driver.discardSave(live);
    await driver.thaw(vm, limit());
    t.ok((await nextTick(driver, vm)) > before, 'memory goes on and the disk is written');
  }
  const before = await nextTick(driver, vm);
  await driver.freeze(vm, limit());
  await driver.save(vm, live, limit());
  await driver.stop(vm, 2_000, limit());
  vm = await driver.restore(spec, live, limit());
  await driver.thaw(vm, limit());
  t.ok((await nextTick(driver, vm)) > before, 'the last save is whole');
  await driver.stop(vm, 2_000, limit());
});

t.test('a machine that runs is not saved', async (t) => {
  const { spec, live } = await lab.machine();
  const vm = await driver.start(spec, limit());
  t.ok(hasCode(await failure(driver.save(vm, live, limit())), 'VMM_FAILED'));
  t.same((await readdir(live)).sort(), ['disk', 'memory']);
  await driver.stop(vm, 0, limit());
});

t.test('the disk grows under a running guest and is never cut off', async (t) => {
  const { spec } = await lab.machine();
  const vm = await driver.start(spec, limit());
  await consoleSays(driver, vm, new RegExp(`disk size ${64 * MIB}\\b`));
  await driver.growDisk(vm, 96 * MIB, limit());
  await driver.growDisk(vm, 96 * MIB, limit());
  await consoleSays(driver, vm, new RegExp(`disk size ${96 * MIB}\\b`));
  t.equal((await stat(spec.diskPath)).size, 96 * MIB);
  t.ok(hasCode(await failure(driver.growDisk(vm, 64 * MIB, limit())), 'INVALID_SIZE'));
  t.equal((await stat(spec.diskPath)).size, 96 * MIB);
  await driver.stop(vm, 0, limit());
});

t.test('a snapshot that is not whole is refused and leaves no process', async (t) => {
  const { spec, live } = await lab.machine();
  const vm = await driver.start(spec, limit());
  await nextTick(driver, vm);
  await driver.freeze(vm, limit());
  await driver.save(vm, live, limit());
  await driver.stop(vm, 2_000, limit());
  const state = path.join(live, 'device.state');
  const whole = await readFile(state);
  const refused = async (what: string): Promise<void> => {
    const error = await failure(driver.restore(spec, live, limit()));
    t.ok(hasCode(error, 'SNAPSHOT_INVALID'), `${what}: ${error}`);
    t.equal(await driver.find(spec.sandboxId, spec.runDir), undefined, 'no process');
  };

  for (const size of [0, 10, Math.floor(whole.length / 2), whole.length - 1]) {
    await writeFile(state, whole.subarray(0, size));
    await refused(`cut to ${size} of ${whole.length} bytes`);
  }
  await writeFile(state, Buffer.alloc(whole.length, 'garbage'));
  await refused('garbage');
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(whole.length >> 1) ^ 1, whole.length >> 1);
  await writeFile(state, flipped);
  await refused('one bit that changed');
  // Whole, but nothing that QEMU wrote.
  const foreign = await open(state, 'w');
  await writeState(foreign, Readable.from([Buffer.alloc(whole.length, 'foreign')]));
  await foreign.close();
  await refused('foreign');
  await rename(state, `${state}.away`);
  await refused('no state');
  await writeFile(state, whole);
  await truncate(spec.memoryPath, (MEMORY_MB / 2) * MIB);
  await refused('half the memory');
  await truncate(spec.memoryPath, MEMORY_MB * MIB);
});
