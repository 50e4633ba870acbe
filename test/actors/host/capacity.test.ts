import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import t from 'tap';
import { checkRoom, freeDiskMb, limitsOf, usedBy } from '../../../src/actors/host/capacity.ts';
import { SANDBOX_STATES } from '../../../src/actors/sandbox/protocol.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { sandboxContext, sandboxInput } from '../sandbox/support.ts';

const wish = (vcpus: number, memory_mb: number) => sandboxInput({}, { vcpus, memory_mb }).options;
const limits = { vcpus: 8, memoryMb: 4096 };
const nothing = { vcpus: 0, memory_mb: 0, sandboxes: 0 };
const roomy = os.tmpdir();

t.test('limits are what was set, else what the machine has', async (t) => {
  t.same(limitsOf({ vcpus: 3, memoryMb: 1000 }), { vcpus: 3, memoryMb: 1000 });
  const own = limitsOf({});
  t.equal(own.vcpus, os.cpus().length * 16);
  t.ok(own.memoryMb > 0 && own.memoryMb < os.totalmem() / 1024 / 1024);
});

t.test('what could never fit, what does not fit now, and what does', async (t) => {
  await checkRoom(wish(8, 4096), limits, nothing, roomy);
  await t.rejects(checkRoom(wish(9, 512), limits, nothing, roomy), { code: 'INVALID_SIZE' });
  await t.rejects(checkRoom(wish(1, 4097), limits, nothing, roomy), { code: 'INVALID_SIZE' });
  const used = { vcpus: 7, memory_mb: 2048, sandboxes: 1 };
  await checkRoom(wish(1, 2048), limits, used, roomy);
  await t.rejects(checkRoom(wish(2, 512), limits, used, roomy), { code: 'NO_HOST_AVAILABLE' });
  await t.rejects(checkRoom(wish(1, 2049), limits, used, roomy), { code: 'NO_HOST_AVAILABLE' });
});

t.test('property: whatever is let in, the limits hold', async (t) => {
  const size = fc.record({
    vcpus: fc.integer({ min: 1, max: 10 }),
    memory_mb: fc.integer({ min: 96, max: 5000 }),
  });
  const result = await fc.check(
    fc.asyncProperty(fc.array(size, { maxLength: 12 }), async (wishes) => {
      const used = { ...nothing };
      for (const { vcpus, memory_mb } of wishes) {
        const fits = used.vcpus + vcpus <= limits.vcpus && used.memory_mb + memory_mb <= limits.memoryMb;
        const taken = await checkRoom(wish(vcpus, memory_mb), limits, used, roomy).then(
          () => true,
          () => false,
        );
        if (taken !== fits) return false;
        if (taken) {
          used.vcpus += vcpus;
          used.memory_mb += memory_mb;
        }
      }
      return true;
    }),
    { numRuns: 50 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test(
  'only sandboxes that have a virtual machine, or are about to, take of it; all are counted',
  async (t) => {
    const resting = ['paused', 'crashed', 'failed', 'destroyed'];
    for (const state of SANDBOX_STATES) {
      // What is read of a sandbox here is its state and context.
      const sandbox = { actor: { state: `${state}.x` }, context: sandboxContext() } as unknown as Sandbox;
      const active = resting.includes(state) ? 0 : 1;
      t.same(usedBy([sandbox, sandbox]), { vcpus: 2 * active, memory_mb: 512 * active, sandboxes: 2 }, state);
    }
  },
);

t.test(
  'a store that is nearly full takes no sandbox',
  process.getuid?.() === 0 ? {} : { skip: 'mounting needs root' },
  async (t) => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-capacity-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const store = path.join(dir, 'store');
    await mkdir(store);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=255m', 'tmpfs', store]);
    t.teardown(async () => void (await execa('umount', [store])));
    t.equal(await freeDiskMb(store), 255);
    await t.rejects(checkRoom(wish(1, 512), limits, nothing, store), {
      code: 'DISK_FULL',
      detail: /255 MiB free/,
    });
    await execa('mount', ['-o', 'remount,size=256m', store]);
    await checkRoom(wish(1, 512), limits, nothing, store);
    const { bavail, bsize } = await statfs(store);
    t.equal(await freeDiskMb(store), (bavail * bsize) / 1024 / 1024);
  },
);
