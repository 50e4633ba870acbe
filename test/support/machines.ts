import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { cpioArchive, PROGRAM } from '../../scripts/setup/cpio.mjs';
import { systemClock as clock } from '../../src/clock.ts';
import { qmpArgument } from '../../src/drivers/vmm/qemu/command-line.ts';
import { createQemuDriver, type QemuDriver, type QemuOptions } from '../../src/drivers/vmm/qemu/index.ts';
import type { VmRef, VmSpec } from '../../src/drivers/vmm/types.ts';
import { newSandboxId } from '../../src/ids.ts';
import { guestAssets, type TestGuestAssets } from './guest-assets.ts';
import { until } from './nats.ts';
import { quiet as log } from './quiet.ts';

/**
 * Real virtual machines for tests of their driver. The guest is `vmm-guest/init.c` on the real kernel: it counts on its
 * console and on its disk.
 */

const GUEST_SOURCE = path.join(import.meta.dirname, 'vmm-guest', 'init.c');
const DISK_MB = 64;
export const MEMORY_MB = 128;
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** What the guest of a machine does: count until it is told otherwise, or what the name says. */
export type GuestRole = 'count' | 'poweroff' | 'panic' | 'flood';

export interface TestMachine {
  spec: VmSpec;
  /** Folder of the sandbox, with `live` and `run` in it. */
  dir: string;
  live: string;
}

export interface MachineLab {
  dir: string;
  assets: TestGuestAssets;
  /** A driver that the teardown closes. */
  driver(options?: Partial<QemuOptions>): QemuDriver;
  /** Folders, disk and slot for a machine; the teardown makes sure that its process is gone. */
  machine(role?: GuestRole): Promise<TestMachine>;
}

/** A folder, a test guest and a network namespace; all of it, with every machine, goes at the test's teardown. */
export async function startLab(t: Test): Promise<MachineLab> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dmv-'));
  const namespace = `dmv-${randomUUID().slice(0, 8)}`;
  const drivers: QemuDriver[] = [];
  const machines: TestMachine[] = [];
  t.teardown(async () => {
    const last = newDriver(dir, assets);
    for (const { spec } of machines) await last.stop(spec, 0, limit());
    for (const driver of [last, ...drivers]) await driver.close();
    await execa('ip', ['netns', 'delete', namespace], { reject: false, env: { PATH } });
    await rm(dir, { recursive: true, force: true });
  });
  const assets = await testGuest(dir);
  await execa('ip', ['netns', 'add', namespace], { env: { PATH } });
  let taps = 0;

  return {
    dir,
    assets,
    driver(options = {}) {
      const driver = newDriver(dir, assets, options);
      drivers.push(driver);
      return driver;
    },
    async machine(role = 'count') {
      const sandboxId = newSandboxId();
      const root = path.join(dir, sandboxId);
      const live = path.join(root, 'live');
      await mkdir(live, { recursive: true });
      const diskPath = path.join(live, 'disk');
      await execa('mke2fs', ['-q', '-F', '-t', 'ext4', diskPath, `${DISK_MB}M`], { env: { PATH } });
      const tap = `tap${taps++}`;
      await execa('ip', ['-netns', namespace, 'tuntap', 'add', tap, 'mode', 'tap'], { env: { PATH } });
      const spec: VmSpec = {
        sandboxId,
        runDir: path.join(root, 'run'),
        vcpus: 1,
        memoryMb: MEMORY_MB,
        memoryPath: path.join(live, 'memory'),
        diskPath,
        slot: { number: 0, namespace, namespacePath: `/run/netns/${namespace}`, tap, address: '' },
        ...assets,
        mac: '02:64:6d:00:01:01',
        hostname: role,
        token: '0'.repeat(64),
      };
      const machine = { spec, dir: root, live };
      machines.push(machine);
      return machine;
    },
  };
}

/**
 * A process that is taken for a machine of this run folder, beside the one that is there: QEMU itself lets no second one be. It
 * does nothing, and the teardown ends it.
 */
export function secondMachine(t: Test, runDir: string): ChildProcess {
  const child = spawn(
    process.execPath,
    ['-e', 'setInterval(() => {}, 1000)', '--', '-qmp', qmpArgument(runDir)],
    {
      stdio: 'ignore',
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** A signal for one operation: long enough for a busy machine, short enough to fail a test that hangs. */
export function limit(ms = 60_000): AbortSignal {
  return AbortSignal.timeout(ms);
}

/** Reads a machine's console and waits until it says what is expected. Returns what it said meanwhile. */
export async function consoleSays(driver: QemuDriver, vm: VmRef, expected: RegExp): Promise<string> {
  let said = '';
  await until(
    async () => {
      said += await driver.readConsole(vm, limit());
      return expected.test(said);
    },
    `the console says ${expected}`,
    60_000,
  ).catch((error: unknown) => {
    throw new Error(`the console said only:\n${said.slice(-2000)}`, { cause: error });
  });
  return said;
}

/** The guest's newest count, once it has written it to its disk. */
export async function nextTick(driver: QemuDriver, vm: VmRef): Promise<number> {
  await driver.readConsole(vm, limit());
  const said = await consoleSays(driver, vm, /\btick \d+ disk [^\r\n]*\r?\n/);
  const [, count, disk] = /\btick (\d+) disk ([^\r\n]*)\r?\n/.exec(said) ?? [];
  if (disk !== 'ok') throw new Error(`the guest cannot write to its disk: ${disk}`);
  return Number(count);
}

/** True while a process with this pid exists, a zombie included. */
export async function processExists(pid: number): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}

function newDriver(dir: string, assets: TestGuestAssets, options: Partial<QemuOptions> = {}): QemuDriver {
  const probe = { ...assets, memoFile: path.join(dir, 'accelerator.json') };
  return createQemuDriver({
    clock,
    log,
    qemu: 'qemu-system-x86_64',
    accelerator: 'tcg',
    probe,
    ...options,
  });
}

/** The set-up's kernel, and its initramfs with the test's program in place of the kit: a later archive replaces files. */
async function testGuest(dir: string): Promise<TestGuestAssets> {
  const { kernelPath, initrdPath } = await guestAssets();
  const program = path.join(dir, 'init');
  await execa('gcc', ['-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror', '-o', program, GUEST_SOURCE]);
  const init = cpioArchive([{ name: 'init', mode: PROGRAM, content: await readFile(program) }]);
  const together = path.join(dir, 'initrd.cpio');
  await writeFile(together, Buffer.concat([await readFile(initrdPath), init]));
  return { kernelPath, initrdPath: together };
}
