import { statfs } from 'node:fs/promises';
import { messageOf } from '../../errors/index.ts';
import type { Check } from '../finding.ts';
import { nearestFolder } from '../probe.ts';

const MIB = 2 ** 20;
/** Below this, not even the first templates and a few sandboxes fit, in MiB. */
const LEAST_MB = 1024;
/** Below this, a handful of sandboxes that write fill it, in MiB. */
const COMFORTABLE_MB = 10_240;

/** Free space where sandboxes are kept. */
export const checkSpace: Check = async ({ paths }) => {
  const name = 'free space';
  const folder = await nearestFolder(paths.store);
  try {
    const { bavail, bsize } = await statfs(folder);
    const freeMb = Math.floor((bavail * bsize) / MIB);
    const found = `${(freeMb / 1024).toFixed(1)} GiB on ${folder}`;
    if (freeMb >= COMFORTABLE_MB) return { name, status: 'ok', found };
    return {
      name,
      status: freeMb < LEAST_MB ? 'missing' : 'note',
      found,
      cost: 'what sandboxes write, and their memory when they pause, fills it soon; creates are then refused',
      remedy: 'free some, or choose another place with DORMOUSE_DATA_DIR',
    };
  } catch (error) {
    return { name, status: 'note', found: `cannot be told for ${folder}: ${messageOf(error)}` };
  }
};
