import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Room, usedBy } from '../../../src/actors/host/capacity.ts';
import { type ForkParts, forkSandbox } from '../../../src/actors/host/fork.ts';
import { Once } from '../../../src/actors/host/once.ts';
import type { SandboxInput } from '../../../src/actors/sandbox/context.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { newSandboxId } from '../../../src/ids.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { sandboxInput } from '../sandbox/support.ts';
import { commandContext, fakeSandbox } from './fake-sandbox.ts';
import { snapshotFolder } from './template-folders.ts';

/** A host on which forks come up at once, or as `create` says. */
async function world(t: Test, { memoryMb = 16_384 } = {}) {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-fork-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const capture = await snapshotFolder(path.join(dir, 'k-a'));
  const clock = fakeClock();
  const there = new Map<string, Sandbox>();
  const seen = {
    captures: 0,
    released: 0,
    inputs: [] as SandboxInput[],
    destroyed: [] as string[],
    atOnce: 0,
    most: 0,
  };
  const hooks = { outcome: async (_: SandboxInput): Promise<void> => {} };
  const parts: ForkParts = {
    sandboxes: {
      get: (id) => (there.has(id) ? Promise.resolve(there.get(id) as Sandbox) : undefined),
      checkNew: () => {},
      async create(input) {
        seen.inputs.push(input);
        seen.atOnce += 1;
        seen.most = Math.max(seen.most, seen.atOnce);
        const created = hooks.outcome(input).finally(() => (seen.atOnce -= 1));
        created.catch(() => {});
        const { sandbox } = fakeSandbox({ ...input }, { created });
        there.set(input.id, sandbox);
        return sandbox;
      },
      async discard({ id }) {
        seen.destroyed.push(id);
        there.delete(id);
      },
    },
    captures: {
      async take(_sandbox, { memory }, _context, use) {
        t.equal(memory, true);
        seen.captures += 1;
        try {
          return await use(capture);
        } finally {
          seen.released += 1;
        }
      },
    },
    drivers: { checkSpace: async () => {} },
    room: new Room({ vcpus: 64, memoryMb }, () => usedBy([...there.values()])),
    once: new Once(),
    ports: { clock, log: quiet },
    hostId: 'h-test',
  };
  const original = fakeSandbox({
    ...sandboxInput(
      { id: newSandboxId(), defaults: { user: 'app', env: { A: '1' } } },
      {
        memory_mb: 256,
        timeout_s: 60,
        metadata: { of: 'it' },
      },
    ),
  }).sandbox;
  const fork = (ids: string[], changes = {}) =>
    forkSandbox(original, { ids }, commandContext({ commandId: ids[0] ?? '', ...changes }), parts);
  return { parts, seen, hooks, there, original, fork, capture };
}
const someIds = (count: number): string[] => Array.from({ length: count }, newSandboxId);

t.test('forks are sandboxes with identities of their own and all else of the original', async (t) => {
  const { fork, seen, original, capture } = await world(t);
  const ids = someIds(5);
  const { sandboxes } = await fork(ids);
  t.same(
    sandboxes.map(({ id }) => id),
    ids,
    'in the order asked',
  );
  t.equal(seen.captures, 1);
  t.equal(seen.released, 1);
  t.ok(seen.most <= 4, `${seen.most} at a time`);
  for (const input of seen.inputs) {
    t.match(input, {
      teamId: original.context.teamId,
      options: original.context.options,
      defaults: { user: 'app', env: { A: '1' } },
      source: { kind: 'snapshot', dir: capture },
      kernel: { kernelPath: '/k', initrdPath: '/i' },
    });
    t.not(input.options, original.context.options, 'nothing is shared');
  }
  for (const what of ['mac', 'machineId', 'secret'] as const)
    t.equal(new Set([...seen.inputs, original.context].map((input) => input[what])).size, 6, what);
});

t.test('when one fails, no further ones are begun, and all are destroyed', async (t) => {
  const { fork, seen, hooks } = await world(t);
  const ids = someIds(8);
  hooks.outcome = async ({ id }) => {
    if (id === ids[1]) throw new DormouseError('GUEST_UNREACHABLE', 'It does not answer.');
  };
  await t.rejects(fork(ids), { code: 'GUEST_UNREACHABLE' });
  t.same(seen.destroyed.sort(), seen.inputs.map(({ id }) => id).sort());
  t.ok(seen.inputs.length < ids.length);
  t.equal(seen.released, 1, 'the copy is gone');
});

t.test('one that begins when another has failed already is destroyed as well', async (t) => {
  const { fork, seen, hooks, there } = await world(t);
  const ids = someIds(3);
  const late = Promise.withResolvers<void>();
  hooks.outcome = async ({ id }) => {
    if (id === ids[0]) throw new DormouseError('VMM_FAILED', 'no');
    await late.promise;
  };
  const forked = fork(ids);
  late.resolve();
  await t.rejects(forked, { code: 'VMM_FAILED' });
  t.equal(there.size, 0);
  t.equal(seen.destroyed.length, 3);
});

t.test('there must be room for all of them together', async (t) => {
  const { fork, seen, parts } = await world(t, { memoryMb: 1024 });
  await t.rejects(fork(someIds(5)), { code: 'INVALID_SIZE' });
  await fork(someIds(4));
  await t.rejects(fork(someIds(1)), { code: 'NO_HOST_AVAILABLE' });
  t.equal(seen.captures, 1, 'and nothing is copied for nothing');
  t.throws(() => parts.room.keep({ vcpus: 1, memory_mb: 1 }), { code: 'NO_HOST_AVAILABLE' });
});

t.test('what was promised is given back when it fails', async (t) => {
  const { fork, hooks, parts } = await world(t, { memoryMb: 1024 });
  hooks.outcome = async () => {
    throw new DormouseError('VMM_FAILED', 'no');
  };
  await t.rejects(fork(someIds(4)), { code: 'VMM_FAILED' });
  parts.room.keep({ vcpus: 1, memory_mb: 1024 })();
  t.pass('all of it is free');
});

t.test('a fork that is sent again makes nothing twice, and what is missing', async (t) => {
  const { fork, seen, there } = await world(t);
  const ids = someIds(3);
  const [one, two] = await Promise.all([fork(ids), fork(ids)]);
  t.same(one, two);
  t.equal(seen.inputs.length, 3);
  // By another agent, which remembers nothing.
  there.delete(ids[1] ?? '');
  const again = await fork(ids, { commandId: 'another' });
  t.same(again, one);
  t.equal(seen.inputs.length, 4);
});

t.test('when what is missing cannot be made, what an earlier try made is destroyed', async (t) => {
  const { fork, hooks, there } = await world(t);
  const ids = someIds(3);
  await fork(ids);
  there.delete(ids[1] ?? '');
  hooks.outcome = async () => {
    throw new DormouseError('VMM_FAILED', 'no');
  };
  await t.rejects(fork(ids, { commandId: 'of another agent' }), { code: 'VMM_FAILED' });
  t.equal(there.size, 0);
});

t.test('when one has failed since, what an earlier try made is destroyed', async (t) => {
  // Found by the simulation: "forks", an agent killed as the first of two forks ran.
  const { fork, there, seen } = await world(t);
  const ids = someIds(3);
  await fork(ids);
  const lastError = { code: 'SNAPSHOT_INVALID', detail: 'The copy is gone.' } as const;
  const end = (state: string): void =>
    void there.set(
      ids[1] ?? '',
      fakeSandbox({ ...sandboxInput({ id: ids[1] ?? '' }), lastError }, { state }).sandbox,
    );
  end('destroyed');
  await t.rejects(fork(ids, { commandId: 'late' }), { code: 'SANDBOX_NOT_FOUND' });
  t.same(seen.destroyed, [], 'not when its user ended one of them');
  end('failed');
  await t.rejects(fork(ids, { commandId: 'of another agent' }), { code: 'SNAPSHOT_INVALID' });
  t.same(seen.destroyed.sort(), [ids[0], ids[2]].sort());
});

t.test('ids that are taken are refused', async (t) => {
  const { fork, there, original, seen } = await world(t);
  there.set(original.id, original);
  await t.rejects(fork([original.id]), { code: 'SANDBOX_NOT_FOUND', detail: /is taken/ });
  const other = fakeSandbox({
    ...sandboxInput({ id: newSandboxId(), teamId: '00000000-0000-4000-8000-0000000000ff' }),
  });
  there.set(other.sandbox.id, other.sandbox);
  await t.rejects(fork([other.sandbox.id]), { code: 'SANDBOX_NOT_FOUND', detail: /is taken/ });
  const failed = fakeSandbox(
    {
      ...sandboxInput({ id: newSandboxId() }),
      lastError: { code: 'DISK_FULL', detail: 'no space' },
    },
    { state: 'failed' },
  );
  there.set(failed.sandbox.id, failed.sandbox);
  await t.rejects(fork([failed.sandbox.id]), { code: 'DISK_FULL' });
  t.equal(seen.destroyed.length, 0);
});

t.test('a caller who goes away gets none', async (t) => {
  const { fork, hooks, there } = await world(t);
  const caller = new AbortController();
  hooks.outcome = async () => {
    caller.abort(new DormouseError('CANCELLED', 'gone'));
    throw caller.signal.reason;
  };
  await t.rejects(fork(someIds(6), { signal: caller.signal }), { code: 'CANCELLED' });
  t.equal(there.size, 0);
});

t.test(
  'of a caller who goes away while the original is copied, or some are on their way, no further ones are begun',
  async (t) => {
    for (const begun of [0, 2]) {
      const { fork, hooks, parts, seen, there } = await world(t);
      const caller = new AbortController();
      const goAway = (): void => caller.abort(new DormouseError('CANCELLED', 'gone'));
      const { take } = parts.captures;
      parts.captures = {
        take: (sandbox, memory, context, use) => {
          if (begun === 0) goAway();
          return take(sandbox, memory, context, use);
        },
      };
      hooks.outcome = async () => {
        if (seen.inputs.length === begun) goAway();
        caller.signal.throwIfAborted();
        await new Promise((resolve) => caller.signal.addEventListener('abort', resolve));
        throw caller.signal.reason;
      };
      await t.rejects(fork(someIds(6), { signal: caller.signal }), { code: 'CANCELLED' });
      t.equal(seen.inputs.length, begun);
      t.equal(there.size, 0);
    }
  },
);
