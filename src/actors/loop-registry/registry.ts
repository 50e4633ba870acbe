import type { LoopDevice } from '../../drivers/loop/losetup.ts';
import type { LoopEntry } from './protocol.ts';

/**
 * The registry's bookkeeping: pure functions on a list of loops. What must hold:
 *
 * 1. A reference count is the size of a set of holders. A holder is in at most one loop of an image.
 * 2. A loop that the kernel frees by itself (`autoclear`), or whose file has no name any more, is given to no new holder.
 * 3. A loop may be detached only when it has no holder and the kernel shows no device on it.
 * 4. What the kernel shows wins: a loop that it does not show any more is forgotten, one that it shows is listed.
 */

/** One loop device of ours. Plain data. Sets are sorted arrays. */
export interface Loop {
  device: string;
  /** Real path of the image when it was bound. */
  image: string;
  fileId: string;
  /** Those that acquired it and did not release it. */
  holders: readonly string[];
  /** Devices that the kernel showed on it at the last look. */
  users: readonly string[];
  autoclear: boolean;
  deleted: boolean;
}

/** What the kernel showed: loop devices of files in our folder, and the devices that stand on them. */
export interface Look {
  devices: readonly LoopDevice[];
  users: Readonly<Record<string, readonly string[]>>;
}

/** A loop device that is there for nobody's sake. */
export interface LoopLeak {
  device: string;
  image: string;
  reason: 'still-open' | 'not-detached' | 'foreign-user';
  detail: string;
}

/** The registry as it is after a start: the devices that stand on a loop are its holders. */
export function rebuilt(look: Look): Loop[] {
  return seen([], look).map((loop) => ({ ...loop, holders: loop.users }));
}

/** The registry after a look. A device that was bound to another file meanwhile is another loop, without holders. */
export function seen(loops: readonly Loop[], look: Look): Loop[] {
  return look.devices.map(({ device, backingFile, fileId, autoclear, deleted }) => {
    const known = loops.find((loop) => loop.device === device && loop.fileId === fileId);
    return {
      device,
      image: known?.image ?? backingFile,
      fileId,
      holders: known?.holders ?? [],
      users: look.users[device] ?? [],
      autoclear,
      deleted,
    };
  });
}

/** The loop of the image that this holder holds. */
export function heldBy(loops: readonly Loop[], image: string, holder: string): Loop | undefined {
  return loops.find((loop) => loop.image === image && loop.holders.includes(holder));
}

/**
 * The loop that an acquire is answered with, if no new one is needed: the one that the holder holds already, even when
 * the image was replaced since, else one of this very file.
 */
export function originFor(
  loops: readonly Loop[],
  image: string,
  fileId: string,
  holder: string,
): Loop | undefined {
  const own = heldBy(loops, image, holder);
  if (own && !own.autoclear) return own;
  return loops.find(
    (loop) => loop.image === image && loop.fileId === fileId && !loop.autoclear && !loop.deleted,
  );
}

/** The registry after `holder` took the loop `device`; it leaves another one of the same image. */
export function held(loops: readonly Loop[], image: string, device: string, holder: string): Loop[] {
  return releasedBy(loops, image, holder).map((loop) =>
    loop.device === device ? { ...loop, holders: [...loop.holders, holder].sort() } : loop,
  );
}

/** The registry without the holder on the image. The same when it does not hold it. */
export function releasedBy(loops: readonly Loop[], image: string, holder: string): Loop[] {
  return loops.map((loop) =>
    loop.image === image ? { ...loop, holders: loop.holders.filter((name) => name !== holder) } : loop,
  );
}

/**
 * The registry when the holder let go and the kernel could not be asked. It is no user any more, as far as anybody knows: a device
 * lets go when it is removed, and a loop that others hold is not looked at again by itself.
 */
export function leftBy(loops: readonly Loop[], image: string, holder: string): Loop[] {
  return releasedBy(loops, image, holder).map((loop) =>
    loop.image === image ? { ...loop, users: loop.users.filter((name) => name !== holder) } : loop,
  );
}

/** Loops that may be detached now. One that the kernel frees by itself has been detached already. */
export function idle(loops: readonly Loop[]): Loop[] {
  return loops.filter((loop) => unheld(loop) && loop.users.length === 0 && !loop.autoclear);
}

/** Loops that are there though nobody acquired them, and loops on their way out that somebody still keeps open. */
export function leaks(loops: readonly Loop[]): LoopLeak[] {
  return loops
    .filter((loop) => unheld(loop) || loop.autoclear)
    .map((loop) => ({ device: loop.device, image: loop.image, ...reasonOf(loop) }));
}

/** How the protocol shows a loop. */
export function entryOf({ device, image, fileId, holders, users }: Loop): LoopEntry {
  return { image, device, file_id: fileId, holders: [...new Set([...holders, ...users])].sort() };
}

const unheld = (loop: Loop): boolean => loop.holders.length === 0;

function reasonOf({ device, autoclear, users, deleted }: Loop): Pick<LoopLeak, 'reason' | 'detail'> {
  const file = deleted ? ' Its file has been deleted.' : '';
  if (autoclear)
    return {
      reason: 'still-open',
      detail: `${device} was detached while somebody held it open; the kernel frees it at its last close.${file}`,
    };
  if (users.length > 0)
    return {
      reason: 'foreign-user',
      detail: `${device} has no holder, but ${users.join(', ')} uses it.${file}`,
    };
  return {
    reason: 'not-detached',
    detail: `${device} has no holder and could not be detached; that is tried again.${file}`,
  };
}
