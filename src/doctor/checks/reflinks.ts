import { constants } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../errors/index.ts';
import type { Check, Finding } from '../finding.ts';
import { cannotOpen, nearestFolder } from '../probe.ts';

/**
 * Whether files on the data directory can be cloned in constant time. Asked of the store, which is a file system of its
 * own when `dormouse up` has made one.
 */
export const checkReflinks: Check = async ({ paths }) => {
  const folder = await nearestFolder(paths.store);
  const answer = await tryReflink(folder);
  const name = 'reflinks';
  if (answer === 'works') return { name, status: 'ok', found: `work on ${folder}` };
  if (answer instanceof Error) return unwritable(folder, answer);
  const canMount = process.getuid?.() === 0 && (await cannotOpen('/dev/loop-control')) === undefined;
  if (canMount)
    return {
      name,
      status: 'ok',
      found: `none on ${folder}; \`dormouse up\` makes and mounts an XFS image for the store`,
    };
  return {
    name,
    status: 'note',
    found: `none on ${folder}`,
    cost: 'pause, resume, fork and create copy whole files instead of cloning them',
    remedy: 'put DORMOUSE_DATA_DIR on XFS (reflink=1) or Btrfs, or run as root where loop devices work',
  };
};

function unwritable(folder: string, error: Error): Finding {
  return {
    name: 'reflinks',
    status: 'missing',
    found: `${folder} cannot be written: ${error.message}`,
    cost: 'Dormouse has nowhere to keep sandboxes',
    remedy: 'choose another place with DORMOUSE_DATA_DIR, or run as root',
  };
}

/** Clones a small file in the folder, and leaves nothing there. An error: the folder cannot be written at all. */
async function tryReflink(folder: string): Promise<'works' | 'none' | Error> {
  let place: string | undefined;
  try {
    place = await mkdtemp(path.join(folder, '.dormouse-doctor-'));
    const file = path.join(place, 'file');
    await writeFile(file, 'reflink');
    return await copyFile(file, path.join(place, 'clone'), constants.COPYFILE_FICLONE_FORCE).then(
      () => 'works' as const,
      () => 'none' as const,
    );
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  } finally {
    if (place !== undefined) await rm(place, { recursive: true, force: true });
  }
}
