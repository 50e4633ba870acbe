import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Paths } from '../../src/paths.ts';

/** What the figures depend on. */
export interface MachineFacts {
  at: string;
  cores: number;
  processor: string;
  kernel: string;
  node: string;
  qemu: string;
  accelerator: string;
  /** Load average of the last minute when the run began. */
  load: number;
}

/** Looks at the machine; call it before the run loads it. */
export async function machineFacts(paths: Paths, load: number): Promise<MachineFacts> {
  const { stdout } = await execa('qemu-system-x86_64', ['--version']);
  const memo = JSON.parse(await readFile(path.join(paths.kernel, 'accelerator.json'), 'utf8')) as {
    accelerator: { name: string };
  };
  return {
    at: new Date().toISOString(),
    cores: os.cpus().length,
    processor: os.cpus()[0]?.model ?? 'unknown',
    kernel: os.release(),
    node: process.version,
    qemu: /version (\S+)/.exec(stdout)?.[1] ?? stdout,
    accelerator: memo.accelerator.name,
    load,
  };
}
