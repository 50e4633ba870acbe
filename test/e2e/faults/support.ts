import { readFile } from 'node:fs/promises';
import type { Test } from 'tap';
import {
  dormouse,
  http,
  logTail,
  newDataDir,
  type Running,
  removeDataDir,
  startDormouse,
} from '../../support/dormouse.ts';
import { type HostLab, restAgainst, sandboxesIn, startHostLab } from '../../support/host-lab.ts';

/** Servers that something is done to. */

const STOP_LIMIT_MS = 60_000;

/** A server on a data directory of its own. The teardown destroys its sandboxes, stops it and removes the directory. */
export async function up(t: Test, settings: Record<string, string> = {}): Promise<Running> {
  const dataDir = await newDataDir();
  const server = await startDormouse(dataDir, settings);
  t.teardown(async () => {
    // A server that stops leaves its machines running, and a test that failed has not destroyed them.
    for (const id of await sandboxesIn(dataDir))
      await http(server, 'DELETE', `/sandboxes/${id}`).catch(() => {});
    // One that stands still would not hear that it is to stop.
    server.process.kill('SIGCONT');
    if (!t.passing()) t.comment(`the end of its log:\n${await logTail(dataDir)}`);
    const late = setTimeout(() => server.process.kill('SIGKILL'), STOP_LIMIT_MS);
    const status = await server.stop();
    clearTimeout(late);
    await removeDataDir(dataDir);
    if (status === null) throw new Error(`the server did not stop within ${STOP_LIMIT_MS} ms`);
  });
  return server;
}

/** Runs `dormouse up` where it cannot come up; returns how it ended. */
export async function refused(t: Test, settings: Record<string, string>) {
  const dataDir = await newDataDir();
  t.teardown(() => removeDataDir(dataDir));
  const ended = await dormouse(['up'], {
    DORMOUSE_DATA_DIR: dataDir,
    DORMOUSE_HTTP_PORT: '0',
    DORMOUSE_STORE_SIZE_MB: '2048',
    ...settings,
  });
  return { dataDir, exitCode: ended.exitCode, printed: ended.stdout + ended.stderr };
}

/** Of sandboxes on a small host: a boot is quick. */
export const SHAPE = { memory_mb: 128, vcpus: 1 };

/** A host without servers, with disks and machines that are small and emulated. At rest it holds what a sandbox needs and no more. */
export async function smallHost(t: Test, settings: Record<string, string> = {}): Promise<HostLab> {
  const lab: HostLab = await startHostLab(t, {
    settings: {
      DORMOUSE_STORE_SIZE_MB: '4096',
      DORMOUSE_IMAGE_SIZE_MB: '128',
      DORMOUSE_SPARE_SLOTS: '1',
      DORMOUSE_ACCELERATOR: 'tcg',
      DORMOUSE_DISK_DRIVER: 'reflink',
      ...settings,
    },
    look: (views) => restAgainst(views, lab.dataDir),
  });
  return lab;
}

/** Whether the server stands still, as a fault makes it. */
export async function stands(server: Running): Promise<boolean> {
  const stat = await readFile(`/proc/${server.process.pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

/** What the server's host holds that no sandbox says it holds, and the reverse. */
export async function leaks(server: Running): Promise<unknown[]> {
  const { stdout } = await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: server.dataDir });
  return (JSON.parse(stdout) as { leaks: unknown[] }).leaks;
}
