import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { cowBytes } from '../../src/drivers/disk/device-mapper/cow-size.ts';
import { snapshotTable } from '../../src/drivers/disk/device-mapper/tables.ts';

/** Starts a program and returns what it printed. */
type Run = (program: string, args: readonly string[], input?: string) => Promise<string>;

/** A disk that was made bare. */
export interface BareDisk {
  name: string;
  loop: string;
}

/** The commands of a device-mapper disk, one after the other, and nothing else: no lane, no registry, no record, no check. */
export interface Bare {
  /** Nothing is attached when it fails. */
  attach(index: number): Promise<BareDisk>;
  detach(disk: BareDisk): Promise<void>;
}

/** Where udev runs, it makes the nodes, and dmsetup waits for it; as Dormouse decides it. */
const ENV = { LC_ALL: 'C', ...(existsSync('/run/udev/control') ? {} : { DM_DISABLE_UDEV: '1' }) };

export const byExeca: Run = async (program, args, input) =>
  (await execa(program, args, { env: ENV, ...(input === undefined ? { stdin: 'ignore' } : { input }) }))
    .stdout;

/** The least that Node can do. */
export const byChildProcess: Run = (program, args, input) =>
  new Promise((resolve, reject) => {
    const child: ChildProcess = execFile(
      program,
      [...args],
      { env: { ...process.env, ...ENV } },
      (error, stdout) => (error ? reject(error) : resolve(stdout)),
    );
    child.stdin?.end(input);
  });

/**
 * @param dir folder for the copy-on-write files
 * @param origin loop device of the image, which is there
 */
export function bare(run: Run, dir: string, origin: string, sizeMb: number): Bare {
  const sectors = sizeMb * 2048;
  return {
    async attach(index) {
      const name = `bench-${index}`;
      const folder = path.join(dir, String(index));
      const cow = path.join(folder, 'cow');
      await mkdir(folder, { recursive: true });
      await writeFile(cow, '', { mode: 0o600 });
      await truncate(cow, cowBytes(sectors));
      const loop = (await run('losetup', ['--find', '--show', '--', cow])).trim();
      try {
        await run(
          'dmsetup',
          ['create', name, '--uuid', `DORMOUSE-${name}`],
          snapshotTable(origin, loop, sectors),
        );
      } catch (error) {
        await run('losetup', ['--detach', loop]);
        throw error;
      }
      return { name, loop };
    },
    async detach({ name, loop }) {
      await run('dmsetup', ['remove', name]);
      await run('losetup', ['--detach', loop]);
    },
  };
}
