import os from 'node:os';
import fc from 'fast-check';
import t from 'tap';
import { checkRoom, limitsOf, Room, usedBy } from '../../../src/actors/host/capacity.ts';
import { SANDBOX_STATES } from '../../../src/actors/sandbox/protocol.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { sandboxContext, sandboxInput } from '../sandbox/support.ts';

const wish = (vcpus: number, memory_mb: number) => sandboxInput({}, { vcpus, memory_mb }).options;
const limits = { vcpus: 8, memoryMb: 4096 };
const nothing = { vcpus: 0, memory_mb: 0, sandboxes: 0 };

t.test('limits are what was set, else what the machine has', async (t) => {
  t.same(limitsOf({ vcpus: 3, memoryMb: 1000 }), { vcpus: 3, memoryMb: 1000 });
  const own = limitsOf({});
  t.equal(own.vcpus, os.cpus().length * 16);
  t.ok(own.memoryMb > 0 && own.memoryMb < os.totalmem() / 1024 / 1024);
});

t.test('what could never fit, what does not fit now, and what does', async (t) => {
  checkRoom(wish(8, 4096), limits, nothing);
  t.throws(() => checkRoom(wish(9, 512), limits, nothing), { code: 'INVALID_SIZE' });
  t.throws(() => checkRoom(wish(1, 4097), limits, nothing), { code: 'INVALID_SIZE' });
  const used = { vcpus: 7, memory_mb: 2048, sandboxes: 1 };
  checkRoom(wish(1, 2048), limits, used);
  t.throws(() => checkRoom(wish(2, 512), limits, used), { code: 'NO_HOST_AVAILABLE' });
  t.throws(() => checkRoom(wish(1, 2049), limits, used), { code: 'NO_HOST_AVAILABLE' });
});

t.test('property: whatever is let in, the limits hold', async (t) => {
  const size = fc.record({
    vcpus: fc.integer({ min: 1, max: 10 }),
    memory_mb: fc.integer({ min: 96, max: 5000 }),
  });
  const takes = (vcpus: number, memory_mb: number, used: typeof nothing): boolean => {
    try {
      checkRoom(wish(vcpus, memory_mb), limits, used);
      return true;
    } catch {
      return false;
    }
  };
  const result = fc.check(
    fc.property(fc.array(size, { maxLength: 12 }), (wishes) => {
      const used = { ...nothing };
      for (const { vcpus, memory_mb } of wishes) {
        const fits = used.vcpus + vcpus <= limits.vcpus && used.memory_mb + memory_mb <= limits.memoryMb;
        const taken = takes(vcpus, memory_mb, used);
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

t.test('what is promised counts until it is begun, or given back', async (t) => {
  let used = nothing;
  const room = new Room(limits, () => used);
  const one = room.keep({ vcpus: 2, memory_mb: 1024 }, 3);
  t.throws(() => room.keep({ vcpus: 3, memory_mb: 1 }), { code: 'NO_HOST_AVAILABLE' });
  room.keep({ vcpus: 2, memory_mb: 1024 })();
  one();
  used = { vcpus: 2, memory_mb: 1024, sandboxes: 1 };
  t.throws(() => room.keep({ vcpus: 3, memory_mb: 1 }), { code: 'NO_HOST_AVAILABLE' }, 'it is counted now');
  for (let time = 0; time < 5; time += 1) one();
  room.keep({ vcpus: 6, memory_mb: 3072 });
  t.throws(() => room.keep({ vcpus: 1, memory_mb: 1 }), { code: 'NO_HOST_AVAILABLE' }, 'no more than that');
});

t.test('what rests finds room for a machine again, or is told what there is', async (t) => {
  const room = new Room(limits, () => nothing);
  const sandboxOf = (id: string, state: string, memory_mb: number, slot: object | null = null): Sandbox => {
    const { options } = sandboxInput({}, { vcpus: 1, memory_mb });
    // What is read of a sandbox here is its id, state and context.
    return {
      id,
      actor: { state },
      context: { ...sandboxContext({ id }), options, slot },
    } as unknown as Sandbox;
  };
  const runs = sandboxOf('runs', 'running', 3072);
  const one = sandboxOf('one', 'resuming.cloning', 1024);
  const two = sandboxOf('two', 'restarting.stoppingVm', 1024);
  const all = [runs, one, two, sandboxOf('three', 'paused', 4096)];
  const ask = ({ id, context }: Sandbox): void =>
    room.checkReturn('h-test', { id, options: context.options }, all);
  ask(one);
  ask(one);
  t.throws(() => ask(two), {
    code: 'NO_HOST_AVAILABLE',
    detail: /h-test is full.*1024 MiB, and 6 and 0 MiB are free/,
    data: { host_id: 'h-test', asked: { vcpus: 1, memory_mb: 1024 }, free: { vcpus: 6, memory_mb: 0 } },
  });
  const begun = room.keep({ vcpus: 1, memory_mb: 1 });
  t.throws(() => ask(one), { code: 'NO_HOST_AVAILABLE' }, 'what is promised is not there either');
  begun();
  ask(two);
  t.throws(() => ask(one), { code: 'NO_HOST_AVAILABLE' });
  const restarted = sandboxOf('two', 'restarting.stoppingVm', 1024, { name: 'slot' });
  all.splice(2, 1, restarted);
  t.throws(() => ask(one), { code: 'NO_HOST_AVAILABLE' }, 'one that is restarted has its room');
});
