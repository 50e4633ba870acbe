import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import { type ImageUsers, imageUsers } from '../../../src/actors/host/image-users.ts';
import { plainTemplateFile, type TemplateFile } from '../../../src/actors/host/template-file.ts';
import { Templates } from '../../../src/actors/host/templates.ts';
import { type SnapshotMeta, writeMeta } from '../../../src/actors/sandbox/snapshot-meta.ts';
import type { DiskDriver } from '../../../src/drivers/disk/types.ts';
import { DEFAULT_TEAM_ID } from '../../../src/ids.ts';
import { fakeClock } from '../../support/fake-clock.ts';

/** Folders of templates for tests, with images that are holes. */

export const TEAM = DEFAULT_TEAM_ID;
export const OTHER_TEAM = '00000000-0000-4000-8000-000000000002';
const MIB = 2 ** 20;

export async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-templates-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A host's templates on a store of their own, with disks that say on which image they stand. */
export async function templateStore(t: Test, { diskKind = 'reflink' as DiskDriver['kind'] } = {}) {
  const store = await folder(t);
  const clock = fakeClock();
  const paths = {
    sandboxes: path.join(store, 'sandboxes'),
    templates: path.join(store, 'templates'),
    captures: path.join(store, 'captures'),
  };
  /** Folder of a disk to the image that it stands on. */
  const origins = new Map<string, string>();
  const usersOf: ImageUsers = imageUsers({ imageOf: async (dir) => origins.get(dir) }, paths);
  /** Begins anew on the same folders. */
  const open = async (): Promise<Templates> => {
    const templates = new Templates({ root: paths.templates, hostId: 'h-test', diskKind, clock, usersOf });
    await templates.load();
    return templates;
  };
  return { store, paths, clock, origins, usersOf, open, templates: await open() };
}

/** Makes an image of that size, with a hole for a file system. */
export const image =
  (sizeMb = 64) =>
  async (imagePath: string): Promise<void> => {
    await writeFile(imagePath, 'image');
    await truncate(imagePath, sizeMb * MIB);
  };

/** What a team's template says of itself. */
export function templateFile(id: string, changes: Partial<TemplateFile> = {}): TemplateFile {
  return { ...plainTemplateFile(id, 'python', 0), team_id: TEAM, ...changes };
}

/** A snapshot directory as a pause leaves it. */
export async function snapshotFolder(dir: string, changes: Partial<SnapshotMeta> = {}): Promise<string> {
  await mkdir(dir, { recursive: true });
  await writeMeta(dir, {
    v: 1,
    sandbox_id: 'sb-aaaaaaaaaaaaaaaaaaaa',
    created_at: '2026-01-01T00:00:00.000Z',
    vcpus: 1,
    memory_mb: 512,
    disk_size_mb: 20_480,
    mac: '02:64:00:00:00:01',
    hostname: 'x',
    token: 'x',
    kernel_path: '/k',
    initrd_path: '/i',
    boot_id: 'x',
    ...changes,
  });
  await writeFile(path.join(dir, 'memory'), `memory of ${path.basename(dir)}`);
  return dir;
}

/** Makes a template of a team, with an image of 64 MiB. */
export async function makeTemplate(
  templates: Templates,
  changes: Partial<TemplateFile> = {},
  { overwrite = false, imageMb = 64 } = {},
) {
  const { team_id: teamId, name } = templateFile('x', changes);
  return await templates.make({ teamId, name, overwrite }, async ({ id, dir }) => {
    await image(imageMb)(path.join(dir, 'rootfs.ext4'));
    return templateFile(id, { ...changes, id });
  });
}
