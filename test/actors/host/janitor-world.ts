import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import { Janitor } from '../../../src/actors/host/janitor.ts';
import { Sandboxes } from '../../../src/actors/host/sandboxes.ts';
import type { LedgerKind } from '../../../src/actors/sandbox/context.ts';
import type { SandboxDrivers } from '../../../src/actors/sandbox/drivers.ts';
import { GuestSessions } from '../../../src/actors/sandbox/guest-sessions.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import { bootId } from '../../../src/boot-id.ts';
import type { HeldDevice } from '../../../src/drivers/disk/types.ts';
import type { VmRef } from '../../../src/drivers/vmm/types.ts';
import { newSandboxId } from '../../../src/ids.ts';
import type { Logger } from '../../../src/log.ts';
import { sandboxPaths } from '../../../src/paths.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { SLOT, sandboxContext, sandboxInput } from '../sandbox/support.ts';

/** What the janitor of a test works on: real folders and journals, and a machine that is three lists. */

/** Called before a driver gives something back; may throw, or take its time. */
type Hook = (what: string) => void | Promise<void>;

export interface Line {
  level: 'info' | 'warn' | 'error';
  message: string;
  [key: string]: unknown;
}

export async function janitorWorld(t: Test, { everyMs = 30_000 } = {}) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-janitor-'));
  const clock = fakeClock();
  const lines: Line[] = [];
  const machine = {
    processes: [] as VmRef[],
    devices: [] as HeldDevice[],
    slots: [] as Array<{ number: number; holder: string | undefined }>,
  };
  const hooks: { stop: Hook; clear: Hook; release: Hook; make: Hook } = {
    stop: () => {},
    clear: () => {},
    release: () => {},
    make: () => {},
  };
  let nextPid = 100;
  const given: string[] = [];
  const passes = { leftovers: 0 };
  const pathsOf = (id: string) => sandboxPaths({ sandboxes: root }, id);
  const nothing = async (): Promise<void> => {};
  const isSame = (one: VmRef, other: VmRef): boolean =>
    one.pid === other.pid && one.startTicks === other.startTicks;
  const end = (vm: VmRef | undefined): void => {
    if (!vm) return;
    given.push(`vmm ${vm.sandboxId}`);
    machine.processes = machine.processes.filter((one) => one !== vm);
  };
  const clearDevices = async (sandboxId: string): Promise<void> => {
    await hooks.clear(sandboxId);
    // As the driver, which does not see a device without a table when it detaches.
    const isIt = (device: HeldDevice): boolean => device.sandboxId === sandboxId && !device.withoutTable;
    if (machine.devices.some(isIt)) given.push(`disk ${sandboxId}`);
    machine.devices = machine.devices.filter((device) => !isIt(device));
  };
  const drivers = {
    clock,
    sessions: new GuestSessions(),
    pathsOf,
    guestTimeoutMs: 1000,
    cloneFile: nothing,
    guest: {},
    checkSpace: nothing,
    checkRoom: () => {},
    disk: {
      kind: 'reflink',
      create: async ({ sandboxId }: { sandboxId: string }) => await hooks.make(sandboxId),
      detach: ({ sandboxId }: { sandboxId: string }) => clearDevices(sandboxId),
      remove: ({ sandboxId }: { sandboxId: string }) => clearDevices(sandboxId),
      sync: nothing,
      list: async () => [...machine.devices],
      async clear({ sandboxId, name, withoutTable }: HeldDevice) {
        if (!withoutTable) return await clearDevices(sandboxId);
        if (machine.devices.some((device) => device.name === name)) given.push(`device ${name}`);
        machine.devices = machine.devices.filter((device) => device.name !== name);
      },
    },
    network: {
      kind: 'namespace',
      list: async () =>
        machine.slots.map(({ number, holder }) => ({
          slot: { ...SLOT, number, namespace: `dormouse-${number}` },
          holder,
        })),
      async release(holder: string) {
        await hooks.release(holder);
        if (machine.slots.some((slot) => slot.holder === holder)) given.push(`slot ${holder}`);
        machine.slots = machine.slots.filter((slot) => slot.holder !== holder);
      },
    },
    vmm: {
      kind: 'qemu',
      list: async () => [...machine.processes],
      status: async () => 'running',
      watch: () => () => {},
      async stop(vm: VmRef | { sandboxId: string; runDir: string }) {
        await hooks.stop(vm.sandboxId);
        // As the driver does: when the one that is known has ended, the one of its run folder.
        const known = 'pid' in vm ? machine.processes.filter((one) => isSame(one, vm)) : [];
        end(known[0] ?? machine.processes.find(({ runDir }) => runDir === vm.runDir));
      },
      async kill(vm: VmRef) {
        await hooks.stop(vm.sandboxId);
        end(machine.processes.find((one) => isSame(one, vm)));
      },
    },
    // Only what these tests touch.
  } as unknown as SandboxDrivers;
  const log = logInto(lines);
  const ports = { clock, log };
  const sandboxes = new Sandboxes({
    root,
    drivers,
    ports,
    mailboxSize: 8,
    sink: { append: nothing },
    output: () => {},
    appeared: () => {},
    vanished: () => {},
    settled: (sandbox) => sandbox.leftovers().length > 0 && janitor.poke(),
  });
  const leftovers = {
    begin: async () => 0,
    async pass() {
      passes.leftovers += 1;
    },
  };
  const janitor = new Janitor({ root, drivers, sandboxes, leftovers, everyMs, ports });
  t.teardown(async () => {
    await janitor.stop();
    await sandboxes.stop();
    await rm(root, { recursive: true, force: true });
  });

  /** A sandbox as an agent that died left it: at rest, with that ledger, and with the folders that it names. */
  const leave = async (
    value: 'running' | 'paused' | 'destroyed' | 'stranded',
    ledger: readonly LedgerKind[],
    changes: Partial<ActorRecord> = {},
  ): Promise<string> => {
    const id = newSandboxId();
    await mkdir(pathsOf(id).root);
    for (const kind of ['live', 'snapshot'] as const)
      if (ledger.includes(kind)) {
        await mkdir(pathsOf(id)[kind]);
        await writeFile(path.join(pathsOf(id)[kind], 'memory'), kind);
      }
    const vm = ledger.includes('vmm') ? runMachine(id) : null;
    if (ledger.includes('slot')) machine.slots.push({ number: machine.slots.length, holder: id });
    if (ledger.includes('disk')) machine.devices.push(device(id));
    const record: ActorRecord = {
      v: 1,
      kind: 'sandbox',
      id,
      seq: 5,
      value,
      context: sandboxContext({ id, slot: SLOT, vm, diskPath: '/d', command: null }),
      enteredAtMs: 0,
      timers: {},
      ledger: ledger.map((kind) => ({ kind, sinceMs: 0 })),
      outbox: [],
      replies: [],
      ...changes,
    };
    // Of this boot: after a power cut a sandbox tells its state anew.
    await writeFile(pathsOf(id).journal, JSON.stringify({ ...record, boot: await bootId() }));
    return id;
  };
  const runMachine = (sandboxId: string): VmRef => {
    const vm = {
      sandboxId,
      runDir: pathsOf(sandboxId).run,
      pid: nextPid,
      startTicks: '1',
    };
    nextPid += 1;
    machine.processes.push(vm);
    return vm;
  };
  const adopted = async (id: string): Promise<Sandbox> => {
    const sandbox = await sandboxes.get(id);
    if (!sandbox) throw new Error(`${id} was not adopted`);
    return sandbox;
  };
  /** What the newest journal of a sandbox names. */
  const journaled = async (id: string): Promise<string[]> => {
    const texts = await Promise.all(
      ['state.json', 'state.next.json'].map((name) =>
        readFile(path.join(root, id, name), 'utf8').catch(() => '{"revision":-1}'),
      ),
    );
    const records = texts.map(
      (text) => JSON.parse(text) as { revision?: number; ledger: { kind: string }[] },
    );
    const [newest] = records.sort((a, b) => (b.revision ?? 0) - (a.revision ?? 0));
    return newest?.ledger.map(({ kind }) => kind) ?? [];
  };
  return {
    root,
    clock,
    lines,
    machine,
    hooks,
    given,
    passes,
    drivers,
    sandboxes,
    janitor,
    pathsOf,
    leave,
    runMachine,
    adopted,
    journaled,
    input: (id: string) => sandboxInput({ id }),
  };
}

export function device(sandboxId: string, changes: Partial<HeldDevice> = {}): HeldDevice {
  return { kind: 'device', name: `dormouse-${sandboxId}`, sandboxId, temporary: false, ...changes };
}

function logInto(lines: Line[]): Logger {
  const write =
    (level: Line['level']) =>
    (fields: Record<string, unknown>, message: string): void =>
      void lines.push({ ...fields, level, message });
  const log = {
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    debug: () => {},
    child: () => log,
  };
  return log as unknown as Logger;
}

/** Waits for what happens by itself; the runner's time limit ends it. */
export async function until(reached: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await reached())) await new Promise((resolve) => setImmediate(resolve));
}
