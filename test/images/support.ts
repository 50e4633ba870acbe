import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

/** Images with ext4 file systems, looked at with the tools of e2fsprogs, and tools that a test can stop. */

export const MIB = 2 ** 20;
const SYSTEM_PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const env = { PATH: SYSTEM_PATH, LC_ALL: 'C' };

interface Teardown {
  teardown(undo: () => Promise<unknown> | unknown): unknown;
}

export async function tempFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-images-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Makes an image with a file `greeting` in it; ext4, unless the options say otherwise. It is sparse. */
export async function makeExt4(
  imagePath: string,
  sizeMb: number,
  options: readonly string[] = [],
): Promise<string> {
  const content = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-content-'));
  try {
    await writeFile(path.join(content, 'greeting'), 'hello');
    await execa(
      'mke2fs',
      [
        '-q',
        '-F',
        ...(options.includes('-t') ? [] : ['-t', 'ext4']),
        ...options,
        '-d',
        content,
        imagePath,
        `${sizeMb}M`,
      ],
      {
        env,
      },
    );
  } finally {
    await rm(content, { recursive: true, force: true });
  }
  return imagePath;
}

/** Runs a command of debugfs(8), with writing allowed. */
export async function debugfs(imagePath: string, command: string): Promise<string> {
  return (await execa('debugfs', ['-w', '-R', command, imagePath], { env })).stdout;
}

/** The fields of the superblock, as dumpe2fs names them, and the flags of each block group. */
export async function dumpe2fs(
  imagePath: string,
): Promise<{ fields: Map<string, string>; groups: string[] }> {
  const { stdout } = await execa('dumpe2fs', [imagePath], { env });
  const lines = stdout.split('\n');
  const fields = lines.map((line) => /^([A-Z][^:]*): +(.*)$/.exec(line)).filter((match) => match !== null);
  return {
    fields: new Map(fields.map(([, name = '', value = '']) => [name, value])),
    groups: lines.filter((line) => /^Group \d+:/.test(line)),
  };
}

/** True when e2fsck finds nothing wrong and nothing to do. */
export async function isSound(imagePath: string): Promise<boolean> {
  return (await execa('e2fsck', ['-fn', imagePath], { env, reject: false })).exitCode === 0;
}

/** What must not change when nothing is to be done. */
export async function identityOf(file: string): Promise<{ inode: number; size: number; mtimeMs: number }> {
  const { ino, size, mtimeMs } = await stat(file);
  return { inode: ino, size, mtimeMs };
}

/** Space that the file takes, in bytes. */
export async function takenBy(file: string): Promise<number> {
  return (await stat(file)).blocks * 512;
}

/** What is beside the image in its folder. */
export async function beside(imagePath: string): Promise<string[]> {
  return (await readdir(path.dirname(imagePath))).filter((name) => name !== path.basename(imagePath)).sort();
}

export interface StoppableTools {
  /** What was called so far, such as `e2fsck -fy /image`. */
  calls(): Promise<string[]>;
  /** Resolves when the call that shall stand still does. */
  stopped(): Promise<void>;
}

export interface StopOptions {
  /** Number of the call, from 1, that stands still for ever; with none, all do their work. */
  call?: number;
  /** Whether the tool has done its work before it stands still. */
  after?: boolean;
  /** Ends the call with this exit status and this text on standard error instead. */
  fail?: { exitCode: number; message: string };
}

/**
 * Puts tools of the names e2fsck and resize2fs before the real ones in PATH of this process, until the end of the test.
 * They note that they were called and call the real ones.
 */
export async function stoppableTools(
  t: Teardown,
  { call = 0, after = false, fail }: StopOptions = {},
): Promise<StoppableTools> {
  const folder = await tempFolder(t);
  const log = path.join(folder, 'calls');
  const marker = path.join(folder, 'stopped');
  await mkdir(path.join(folder, 'bin'));
  await writeFile(log, '');
  // The real tool, or the sleep, takes the place of the shell, so that a signal reaches it.
  const stop = fail
    ? `echo '${fail.message}' >&2; exit ${fail.exitCode}`
    : `${after ? '"$real" "$@" >/dev/null 2>&1;' : ''} : > ${marker}; exec sleep 1000`;
  for (const name of ['e2fsck', 'resize2fs']) {
    const file = path.join(folder, 'bin', name);
    const script = [
      '#!/bin/sh',
      `PATH='${SYSTEM_PATH}'; real=$(command -v ${name})`,
      `echo "${name} $*" >> ${log}`,
      `[ "$(wc -l < ${log})" -eq ${call} ] && { ${stop}; }`,
      'exec "$real" "$@"',
    ];
    await writeFile(file, `${script.join('\n')}\n`);
    await chmod(file, 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = `${path.join(folder, 'bin')}:${before}`;
  t.teardown(() => {
    process.env.PATH = before;
  });
  const calls = async (): Promise<string[]> => (await readFile(log, 'utf8')).split('\n').filter(Boolean);
  return {
    calls,
    async stopped() {
      const there = () =>
        stat(marker).then(
          () => true,
          () => false,
        );
      for (const end = Date.now() + 20_000; !(await there()); await sleep(5))
        if (Date.now() > end) throw new Error(`call ${call} did not come: ${(await calls()).join('; ')}`);
    },
  };
}
