import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Sandboxes } from '../../../src/actors/host/sandboxes.ts';
import type { SandboxDrivers } from '../../../src/actors/sandbox/drivers.ts';
import { GuestSessions } from '../../../src/actors/sandbox/guest-sessions.ts';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import { bootId } from '../../../src/boot-id.ts';
import type { VmExit } from '../../../src/drivers/vmm/types.ts';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../../src/ids.ts';
import { sandboxPaths } from '../../../src/paths.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { SLOT, sandboxContext, sandboxInput, VM } from '../sandbox/support.ts';

/**
 * The supervisor on real files. Nothing here needs the kernel: the machines of these sandboxes run already, and are only
 * looked at and told to stop.
 */
async function host(t: Test, { streamIsAway = false } = {}) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-sandboxes-'));
  const clock = fakeClock();
  const told: string[] = [];
  const stopped: string[] = [];
  const watchers = new Map<string, (exit: VmExit) => void>();
  const pathsOf = (id: string) => sandboxPaths({ sandboxes: root }, id);
  const nothing = async (): Promise<void> => {};
  const drivers = {
    clock,
    sessions: new GuestSessions(),
    pathsOf,
    guestTimeoutMs: 1000,
    cloneFile: nothing,
    guest: {},
    disk: { kind: 'reflink', detach: nothing, remove: nothing, list: async () => [] },
    checkSpace: nothing,
    checkRoom: () => {},
    network: { kind: 'namespace', release: nothing },
    vmm: {
      kind: 'qemu',
      status: async () => 'running',
      stop: async ({ sandboxId }: { sandboxId: string }) => void stopped.push(sandboxId),
      watch: (vm: { sandboxId: string }, exited: (exit: VmExit) => void) => {
        watchers.set(vm.sandboxId, exited);
        return () => watchers.delete(vm.sandboxId);
      },
    },
    // Only what these sandboxes touch.
  } as unknown as SandboxDrivers;
  const sandboxes = new Sandboxes({
    root,
    drivers,
    ports: { clock, log: quiet },
    mailboxSize: 8,
    settled: nothing,
    sink: {
      append: async () => {
        if (streamIsAway) throw new Error('the stream is away');
      },
    },
    output: () => {},
    appeared: ({ id }) => void told.push(`appeared ${id}`),
    vanished: ({ id }) => void told.push(`vanished ${id}`),
  });
  t.teardown(async () => {
    await sandboxes.stop();
    await rm(root, { recursive: true, force: true });
  });
  /** A sandbox that runs, as an agent that died left it. */
  const leave = async (id = newSandboxId(), changes: Partial<ActorRecord> = {}): Promise<string> => {
    await mkdir(pathsOf(id).root, { recursive: true });
    const context = sandboxContext({
      id,
      slot: SLOT,
      vm: { ...VM, sandboxId: id },
      diskPath: '/d',
      command: null,
    });
    const record: ActorRecord = {
      v: 1,
      kind: 'sandbox',
      id,
      seq: 5,
      value: 'running',
      context,
      enteredAtMs: 0,
      timers: {},
      ledger: (['live', 'disk', 'slot', 'vmm'] as const).map((kind) => ({ kind, sinceMs: 0 })),
      outbox: [],
      replies: [],
      ...changes,
    };
    // Of this boot: after a power cut a sandbox tells its state anew.
    await writeFile(pathsOf(id).journal, JSON.stringify({ ...record, boot: await bootId() }));
    return id;
  };
  return { root, clock, told, stopped, watchers, drivers, sandboxes, pathsOf, leave };
}

/** Waits for what happens by itself; the runner's time limit ends it. */
async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((resolve) => setImmediate(resolve));
}

t.test('sandboxes go on in the state of their journals', async (t) => {
  const { sandboxes, leave, told, watchers } = await host(t);
  const running = await leave();
  const paused = await leave(newSandboxId(), { value: 'destroyed' });
  t.same(await sandboxes.slotHolders(), new Set([running, paused]));
  t.match(await sandboxes.adopt(), { unreadable: 0 });
  t.ok(told.includes(`appeared ${running}`));
  t.equal((await sandboxes.get(running))?.actor.state, 'running');
  await until(() => watchers.has(running));
  await until(() => told.includes(`vanished ${paused}`));
  t.same(
    sandboxes.all().map(({ id }) => id),
    [running],
    'one that had ended is cleared away',
  );
});

t.test('a journal that cannot be read is left alone and counted, and the others never notice', async (t) => {
  const { sandboxes, leave, pathsOf, stopped } = await host(t);
  const good = await leave();
  const bad = await leave();
  const damaged = '{"v":1,"kind":"sand';
  await writeFile(pathsOf(bad).journal, damaged);
  await mkdir(pathsOf(bad).live);
  t.match(await sandboxes.adopt(), { adopted: 1, unreadable: 1 });
  t.same(
    sandboxes.all().map(({ id }) => id),
    [good],
  );
  t.equal(sandboxes.get(bad), undefined);
  t.equal(await readFile(pathsOf(bad).journal, 'utf8'), damaged);
  t.same((await readdir(pathsOf(bad).root)).sort(), ['live', 'state.json']);
  t.same(stopped, []);
  t.ok((await sandboxes.slotHolders()).has(bad), 'the slot that it may hold is not given away');
});

t.test('a create that is asked for again never removes what it cannot read', async (t) => {
  const { sandboxes, leave, pathsOf } = await host(t);
  const id = await leave();
  await mkdir(pathsOf(id).live);
  await writeFile(pathsOf(id).journal, '{"v":1,"kind":"sand');
  await t.rejects(sandboxes.create(sandboxInput({ id })), { code: 'INTERNAL', detail: /cannot be read/ });
  t.same((await readdir(pathsOf(id).root)).sort(), ['live', 'state.json']);
  t.equal(sandboxes.keeperOf(id), undefined);
});

t.test('what the stream has not acknowledged is counted, but not what it never gets', async (t) => {
  const { sandboxes, leave } = await host(t);
  await leave(newSandboxId(), { outbox: [{ seq: 4 }, { seq: 5 }] });
  const id = newSandboxId();
  const context = sandboxContext({ id, teamId: PLATFORM_TEAM_ID, command: null, vm: VM, slot: SLOT });
  await leave(id, { context, outbox: [{ seq: 5 }] });
  t.match(await sandboxes.adopt(), { adopted: 2, republished: 2 });
});

t.test('one that has ended counts as kept until its folder is gone', async (t) => {
  const { sandboxes, leave, pathsOf, told } = await host(t);
  const id = await leave(newSandboxId(), { value: 'destroyed' });
  await sandboxes.adopt();
  await until(() => sandboxes.keeperOf(id) === undefined);
  t.notOk((await readdir(path.dirname(pathsOf(id).root))).includes(id));
  await until(() => told.includes(`vanished ${id}`));
});

t.test('an actor whose code fails is started again from its journal, five times in a minute', async (t) => {
  const { sandboxes, leave, told, watchers, clock } = await host(t);
  const id = await leave();
  const other = await leave();
  await sandboxes.adopt();
  const neighbour = await sandboxes.get(other);
  const fail = async (): Promise<void> => {
    await until(() => watchers.has(id));
    const exited = watchers.get(id);
    watchers.delete(id);
    // An exit that the machine cannot read: its code throws.
    exited?.(null as unknown as VmExit);
  };
  const delays: number[] = [];
  for (let round = 1; round <= 5; round += 1) {
    const before = sandboxes.all().find((sandbox) => sandbox.id === id);
    await fail();
    await until(() => clock.armed().length > 0);
    const [delay = 0] = clock.armed();
    delays.push(delay);
    clock.advance(delay);
    await until(() => sandboxes.all().some((sandbox) => sandbox.id === id && sandbox !== before));
    t.equal((await sandboxes.get(id))?.actor.state, 'running', `restart ${round}`);
  }
  t.same(delays, [200, 400, 800, 1600, 3200]);
  await fail();
  await until(() => told.filter((line) => line === `vanished ${id}`).length === 6);
  clock.advance(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(
    sandboxes.all().map((sandbox) => sandbox.id),
    [other],
    'the sixth time it is left stopped',
  );
  t.equal(sandboxes.get(id), undefined, 'whoever asks for it then starts it from its journal');
  t.equal(sandboxes.all()[0], neighbour, 'the others never notice');
});

t.test('who asks for one that is started again waits for it, and gets no second actor', async (t) => {
  const { sandboxes, leave, watchers, clock, told } = await host(t);
  const id = await leave();
  await sandboxes.adopt();
  const before = await sandboxes.get(id);
  await until(() => watchers.has(id));
  const exited = watchers.get(id);
  watchers.delete(id);
  exited?.(null as unknown as VmExit);
  await until(() => clock.armed().length > 0);
  t.equal(sandboxes.keeperOf(id), 'under way');
  const asked = sandboxes.get(id);
  clock.advance(200);
  const after = await asked;
  t.ok(after);
  t.not(after, before);
  t.equal(await sandboxes.get(id), after);
  t.same(sandboxes.all(), [after]);
  t.same(
    told.filter((line) => line === `appeared ${id}`),
    [`appeared ${id}`, `appeared ${id}`],
  );
});

t.test('one that waits to be started again is not started any more when the host lets go', async (t) => {
  const { sandboxes, leave, watchers, clock } = await host(t);
  const id = await leave();
  await sandboxes.adopt();
  await until(() => watchers.has(id));
  watchers.get(id)?.(null as unknown as VmExit);
  await until(() => clock.armed().length > 0);
  const asked = sandboxes.get(id);
  await Promise.all([t.rejects(async () => void (await asked), { code: 'HOST_DRAINING' }), sandboxes.stop()]);
  t.same(sandboxes.all(), []);
});

t.test('letting go leaves machines and folders as they are', async (t) => {
  const { sandboxes, leave, stopped, watchers, pathsOf } = await host(t);
  const id = await leave();
  await sandboxes.adopt();
  await until(() => watchers.has(id));
  await sandboxes.stop();
  t.same(stopped, []);
  t.equal(watchers.size, 0, 'nobody watches any more');
  t.ok((await readdir(pathsOf(id).root)).includes('state.json'));
});

t.test('letting go does not wait for a stream that is away', async (t) => {
  const { sandboxes, leave } = await host(t, { streamIsAway: true });
  const id = await leave(newSandboxId(), { value: 'destroyed', outbox: [{ seq: 5 }] });
  await sandboxes.adopt();
  t.equal((await sandboxes.get(id))?.actor.isDone, true);
  await sandboxes.stop();
});
