import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { VmRef } from '../types.ts';
import { logFile, pidFile, runDirOf } from './command-line.ts';
import { argumentsOf, identify, processIds, userOf } from './proc.ts';

/**
 * Machines are found by what they were started with, which needs no record: the run folder is in their arguments. The pid
 * file only says where to look first.
 */

/** The machine process of a run folder, if it lives. */
export async function findMachine(sandboxId: string, runDir: string): Promise<VmRef | undefined> {
  const pid = Number.parseInt(await readFile(pidFile(runDir), 'utf8').catch(() => ''), 10);
  const first = Number.isInteger(pid) ? await machineAt(pid) : undefined;
  if (first?.runDir === runDir) return { ...first, sandboxId };
  // The log is made before the process: without it there never was one, and all processes need not be looked at.
  const neverStarted = await access(logFile(runDir)).then(
    () => false,
    () => true,
  );
  if (neverStarted) return undefined;
  const found = (await allMachines()).find((machine) => machine.runDir === runDir);
  return found && { ...found, sandboxId };
}

/** All machine processes whose run folder is `<root>/<sandbox id>/run`. */
export async function listMachines(root: string): Promise<VmRef[]> {
  const depth = path.join('sandbox', 'run');
  return (await allMachines()).flatMap((machine) => {
    const relative = path.relative(root, machine.runDir);
    const [sandboxId = '', ...rest] = relative.split(path.sep);
    const isBelow = sandboxId !== '' && sandboxId !== '..' && path.join('sandbox', ...rest) === depth;
    return isBelow ? [{ ...machine, sandboxId }] : [];
  });
}

async function allMachines(): Promise<Array<Omit<VmRef, 'sandboxId'>>> {
  const found = await Promise.all((await processIds()).map(machineAt));
  return found.filter((machine) => machine !== undefined);
}

/** Any user of the host can give a process such arguments; only ours are machines. */
async function machineAt(pid: number): Promise<Omit<VmRef, 'sandboxId'> | undefined> {
  const runDir = runDirOf(await argumentsOf(pid));
  if (runDir === undefined || (await userOf(pid)) !== process.geteuid?.()) return undefined;
  const identity = await identify(pid);
  return identity && { ...identity, runDir };
}
