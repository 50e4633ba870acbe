import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, open, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { within } from '../../../clock.ts';
import { fileError, makeFolder } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { VmSpec } from '../types.ts';
import { type HowToRun, logFile, qemuArguments } from './command-line.ts';
import { lastLogLine } from './log-file.ts';
import { Machine, type MachinePorts } from './machine.ts';
import { identify, type ProcessIdentity } from './proc.ts';

const BYTES_PER_MB = 1024 * 1024;
/** Longest time that undoing a start may take, in milliseconds. */
const UNDO_MS = 10_000;

export interface Launch extends HowToRun {
  /** Path of QEMU, from `findQemu`. */
  qemu: string;
  spec: VmSpec;
  /** Descriptor that the process inherits as its descriptor 3. */
  inherit?: number;
}

/**
 * Starts QEMU inside the slot's namespace, as a process of its own session that outlives this one, and waits until its
 * monitor answers. The machine boots at once, or waits to be loaded. Nothing is left when it fails.
 *
 * @throws `VMM_FAILED` with QEMU's last line of output, `DISK_FULL`, `DATA_DIR_UNWRITABLE`; the signal's reason
 */
export async function launch(launched: Launch, ports: MachinePorts, signal: AbortSignal): Promise<Machine> {
  signal.throwIfAborted();
  const { spec } = launched;
  await makeFolder(spec.runDir);
  const machine = await spawnDetached(launched, ports);
  try {
    // The agent may be spared or preferred by the kernel's killer; a guest's memory is neither.
    await writeFile(`/proc/${machine.ref.pid}/oom_score_adj`, '0').catch(() => {});
    await machine.monitor(signal);
    return machine;
  } catch (error) {
    const line = await lastLogLine(spec.runDir);
    await within(ports.clock, UNDO_MS, (undoing) => machine.stop(0, undoing));
    signal.throwIfAborted();
    const code = /no space left|quota exceeded/i.test(line) ? 'DISK_FULL' : 'VMM_FAILED';
    throw new DormouseError(code, `QEMU did not start: ${line || 'it said nothing'}`, { cause: error });
  }
}

async function spawnDetached({ qemu, spec, inherit, ...how }: Launch, ports: MachinePorts): Promise<Machine> {
  const log = await open(logFile(spec.runDir), 'w', 0o600).catch((error: unknown) => {
    throw fileError(logFile(spec.runDir), error);
  });
  try {
    const child = spawn(
      'nsenter',
      [`--net=${spec.slot.namespacePath}`, '--', qemu, ...qemuArguments(spec, how)],
      {
        detached: true,
        cwd: '/',
        // The agent's own environment holds secrets.
        env: { PATH: process.env.PATH ?? '' },
        stdio: ['ignore', log.fd, log.fd, ...(inherit === undefined ? [] : [inherit])],
      },
    );
    child.unref();
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    failed.catch(() => {});
    // nsenter becomes QEMU without a fork, so this process is the one to be known.
    const identity = child.pid === undefined ? await failed : await identifyChild(child.pid);
    return new Machine({ sandboxId: spec.sandboxId, runDir: spec.runDir, ...identity }, ports, child);
  } catch (error) {
    throw new DormouseError('VMM_FAILED', 'QEMU could not be started.', { cause: error });
  } finally {
    await log.close();
  }
}

/** A process that has ended already gets a start time that none has: it is not alive, and its log says why. */
async function identifyChild(pid: number): Promise<ProcessIdentity> {
  return (await identify(pid)) ?? { pid, startTicks: '0' };
}

/**
 * Makes sure that the file for a booting guest's memory is there, sparse and readable by nobody else.
 *
 * @throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`
 */
export async function makeMemoryFile(file: string, sizeMb: number): Promise<void> {
  try {
    const handle = await open(file, 'a', 0o600);
    try {
      await handle.truncate(sizeMb * BYTES_PER_MB);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(file, error);
  }
}

/** Throws `SNAPSHOT_INVALID` unless the file holds the memory of a machine of this size. */
export async function checkMemoryFile(file: string, sizeMb: number): Promise<void> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  if (size !== sizeMb * BYTES_PER_MB)
    throw new DormouseError(
      'SNAPSHOT_INVALID',
      `The memory of the snapshot has ${size} bytes, not ${sizeMb * BYTES_PER_MB}.`,
    );
}

/** Path of the QEMU program. Throws `VMM_MISSING` with what to install. */
export async function findQemu(name: string): Promise<string> {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  const candidates = name.includes('/') ? [path.resolve(name)] : folders.map((dir) => path.join(dir, name));
  for (const candidate of candidates) {
    const usable = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return candidate;
  }
  throw new DormouseError(
    'VMM_MISSING',
    `${name} is not installed. On Debian and Ubuntu: apt-get install qemu-system-x86`,
    { data: { program: name, package: 'qemu-system-x86' } },
  );
}
