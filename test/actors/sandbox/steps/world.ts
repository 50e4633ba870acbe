import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import type { SandboxContext } from '../../../../src/actors/sandbox/context.ts';
import type { SandboxDrivers } from '../../../../src/actors/sandbox/drivers.ts';
import { GuestSessions } from '../../../../src/actors/sandbox/guest-sessions.ts';
import { type SnapshotMeta, writeMeta } from '../../../../src/actors/sandbox/snapshot-meta.ts';
import { sandboxSteps } from '../../../../src/actors/sandbox/steps/index.ts';
import type { SandboxStepName } from '../../../../src/actors/sandbox/steps/names.ts';
import { bootId } from '../../../../src/boot-id.ts';
import { cloneFile } from '../../../../src/drivers/disk/files.ts';
import { createReflinkDriver } from '../../../../src/drivers/disk/reflink/index.ts';
import type { GuestExecRequest } from '../../../../src/drivers/guest/types.ts';
import { sandboxPaths } from '../../../../src/paths.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { quiet } from '../../../support/quiet.ts';
import { SLOT, sandboxContext, VM } from '../support.ts';

const MB = 2 ** 20;
/** Size of the disk that the folders of a world have, in MiB. */
export const DISK_MB = 2;

/** Steps of a sandbox on real folders with the driver for files; its machine and its guest are what the test says. */
export async function stepsWorld(t: Test) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-steps-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const clock = fakeClock();
  /** What was asked of the machine and its guest, in order. */
  const asked: string[] = [];
  const machine = { status: 'frozen' as 'running' | 'frozen' | 'gone', leastBytes: 0 };
  const guest = { exec: async (_request: GuestExecRequest, _signal: AbortSignal): Promise<void> => {} };
  const hooks = { checkRoom: (_: Pick<SandboxContext, 'id' | 'options'>): void => {} };
  const drivers = {
    clock,
    disk: createReflinkDriver(),
    sessions: new GuestSessions(),
    cloneFile,
    checkSpace: async () => {},
    checkRoom: (sandbox: SandboxContext) => hooks.checkRoom(sandbox),
    pathsOf: (id: string) => sandboxPaths({ sandboxes: root }, id),
    guestTimeoutMs: 1000,
    vmm: {
      kind: 'qemu',
      stateFiles: ['device.state'],
      status: async () => machine.status,
      discardSave: (dir: string) => rm(path.join(dir, 'device.state'), { force: true }),
      thaw: async () => void asked.push('thaw'),
      stop: async () => void asked.push('stop'),
      growDisk: async (_vm: unknown, bytes: number) => void asked.push(`grow disk to ${bytes / MB}`),
    },
    guest: {
      identify: async () => void asked.push('identify'),
      growRoot: async (_endpoint: unknown, bytes: number) => void asked.push(`grow root to ${bytes / MB}`),
      exec: (_endpoint: unknown, request: GuestExecRequest, signal: AbortSignal) =>
        guest.exec(request, signal),
    },
    // Only what these steps touch.
  } as unknown as SandboxDrivers;
  const steps = sandboxSteps(drivers);
  const before = sandboxContext({ slot: SLOT, vm: VM });
  const context: SandboxContext = { ...before, options: { ...before.options, disk_size_mb: DISK_MB } };
  const paths = drivers.pathsOf(context.id);

  /** Fills `live/` or `snapshot/` as a machine that was saved leaves it. */
  const fill = async (dir: string, meta: Partial<SnapshotMeta> = {}): Promise<void> => {
    await mkdir(dir, { recursive: true });
    await writeFile(path.join(dir, 'disk'), Buffer.alloc(DISK_MB * MB, 'd'));
    await writeFile(path.join(dir, 'memory'), 'the memory');
    await writeFile(path.join(dir, 'device.state'), 'the devices');
    await writeMeta(dir, {
      ...{ v: 1, sandbox_id: context.id, created_at: '', vcpus: 1, memory_mb: 256, disk_size_mb: DISK_MB },
      ...{ mac: context.mac, hostname: context.id, token: 'a'.repeat(64), kernel_path: '', initrd_path: '' },
      boot_id: await bootId(),
      ...meta,
    } as SnapshotMeta);
  };
  const run = async (
    name: SandboxStepName,
    changes: Partial<SandboxContext> = {},
    signal = new AbortController().signal,
  ): Promise<unknown> =>
    await steps[name].run(
      { ...context, ...changes },
      { signal, log: quiet, ledger: [], released: async () => {} },
    );
  return { root, clock, asked, machine, guest, hooks, drivers, steps, context, paths, fill, run };
}

/** Names and contents of the files in a folder; undefined when there is none. */
export async function contentsOf(dir: string): Promise<Record<string, string> | undefined> {
  const names = await readdir(dir).catch(() => undefined);
  if (!names) return undefined;
  return Object.fromEntries(
    await Promise.all(
      names.sort().map(async (name) => [name, (await readFile(path.join(dir, name))).toString('latin1')]),
    ),
  );
}
