import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import type { HostLab } from '../../support/host-lab.ts';

/** What tests of templates do on a host with real virtual machines and no bus. */

/** Sizes of a sandbox that names none here. */
export const SMALL = { memory_mb: 128, disk_size_mb: 1024 };
/** Images stay as small as they are built. */
export const SETTINGS = { DORMOUSE_IMAGE_SIZE_MB: '0' };

/** Runs a shell command that must succeed, and gives what it printed. */
export async function run(lab: HostLab, id: string, cmd: string): Promise<string> {
  const reply = await lab
    .host()
    .ask<{ stdout: string; stderr: string; exit_code: number }>('exec', { id, cmd });
  if (reply.exit_code !== 0) throw new Error(`${cmd} exited with ${reply.exit_code}: ${reply.stderr}`);
  return reply.stdout.trim();
}

/** Creates a sandbox and gives its id. */
export async function create(lab: HostLab, options: object): Promise<string> {
  const id = newSandboxId();
  await lab.host().ask('create', { id, ...SMALL, ...options });
  return id;
}

/** Folders of templates. */
export const templatesOf = async (lab: HostLab): Promise<string[]> =>
  (await readdir(path.join(lab.dataDir, 'store', 'templates'))).sort();

/** Nothing is left of captures and uploads, and no leak is told. */
export async function isTidy(t: Test, lab: HostLab): Promise<void> {
  for (const folder of ['captures', 'uploads'])
    t.same(await readdir(path.join(lab.dataDir, 'store', folder)).catch(() => []), [], folder);
  t.same(await lab.disagreements(), []);
}
