import type { Clock } from '../../clock.ts';
import type { Exclusive } from '../../drivers/disk/types.ts';
import { lookForLoops } from '../../drivers/loop/look.ts';
import { attachReadOnly, detachLoop, fileIdOf, listLoops } from '../../drivers/loop/losetup.ts';
import { DormouseError, type ErrorRecord, toDormouseError } from '../../errors/index.ts';
import type { Step } from '../system/step.ts';
import type { Attached, RegistryContext } from './machine.ts';
import { heldBy, idle, type Look, leaks, originFor, releasedBy, seen } from './registry.ts';
import type { AskUsers } from './users.ts';

/** What the steps work on. */
export interface StepPorts {
  /** Real path of the folder whose files' loops are ours. No other loop is ever touched. */
  folder: string;
  lane: Exclusive;
  /** Asks for everything, at a start and when somebody wants to know. */
  users: AskUsers;
  /** Asks around each command; the kernel's loops say it themselves when absent. */
  newUsers?: AskUsers | undefined;
  clock: Clock;
}

/**
 * Waits before looking again, in milliseconds, when a detached device is still there. Every `losetup --list` of anybody
 * opens all loop devices for a moment, and a device goes only at its last close.
 */
const SETTLE_MS = [5, 20, 50, 100, 200];

/** Limits in milliseconds; they cover the wait for the lane. */
const LOOK_LIMIT_MS = 15_000;
const CHANGE_LIMIT_MS = 30_000;

/** The steps behind the machine's invokes. All loop operations run in the lane, each look with what is done about it. */
export function loopRegistrySteps({
  folder,
  lane,
  users,
  newUsers,
  clock,
}: StepPorts): Record<'look' | 'attach' | 'release' | 'tidy', Step<RegistryContext, unknown>> {
  const lookAtAll = async (signal: AbortSignal): Promise<Look> => {
    const devices = (await listLoops(signal)).filter((loop) => loop.backingFile.startsWith(`${folder}/`));
    return { devices, users: Object.fromEntries(await users(signal)) };
  };
  // Without a process, since it is done twice for every disk that is made.
  const look = async (signal: AbortSignal): Promise<Look> => {
    const seen = await lookForLoops(folder, signal);
    return newUsers ? { ...seen, users: Object.fromEntries(await newUsers(signal)) } : seen;
  };

  /** Looks until the devices are gone; what is there after that is held by somebody. */
  const settled = async (devices: readonly string[], signal: AbortSignal): Promise<Look> => {
    for (const delayMs of SETTLE_MS) {
      const now = await look(signal);
      if (!now.devices.some(({ device, autoclear }) => autoclear && devices.includes(device))) return now;
      await clock.sleep(delayMs, signal);
    }
    return await look(signal);
  };

  return {
    look: {
      name: 'look',
      direction: 'undo',
      timeoutMs: LOOK_LIMIT_MS,
      run: (_, { signal }) => lane('loops: look', lookAtAll, signal),
    },
    attach: {
      name: 'attach',
      direction: 'forward',
      timeoutMs: CHANGE_LIMIT_MS,
      run: ({ loops, image, holder }, { signal }) =>
        lane('loops: attach', (inLane) => attach(look, { loops, image, holder }, inLane), signal),
    },
    release: {
      name: 'release',
      direction: 'undo',
      timeoutMs: CHANGE_LIMIT_MS,
      run: ({ loops, image, holder }, { signal, log }) =>
        lane(
          'loops: release',
          async (inLane) => {
            const before = await look(inLane);
            const loop = heldBy(seen(loops, before), image, holder);
            if (loop?.users.includes(holder)) throw stillUsed(holder, loop.device);
            return await tidy(settled, { loops: releasedBy(loops, image, holder), before }, inLane, log);
          },
          signal,
        ),
    },
    tidy: {
      name: 'tidy',
      direction: 'undo',
      timeoutMs: CHANGE_LIMIT_MS,
      run: ({ loops }, { signal, log }) =>
        lane(
          'loops: tidy',
          async (inLane) => await tidy(settled, { loops, before: await look(inLane) }, inLane, log),
          signal,
        ),
    },
  };
}

/** Makes sure that the image has a loop device that this holder may have. Throws `LOOP_FAILED`, `DEVICE_BUSY`. */
async function attach(
  look: (signal: AbortSignal) => Promise<Look>,
  { loops, image, holder }: Pick<RegistryContext, 'loops' | 'image' | 'holder'>,
  signal: AbortSignal,
): Promise<Attached> {
  const before = await look(signal);
  const fileId = await fileIdOf(image).catch((cause: unknown) => {
    throw new DormouseError('LOOP_FAILED', `The image ${image} cannot be read.`, { data: { image }, cause });
  });
  const there = originFor(seen(loops, before), image, fileId, holder);
  if (there) return { look: before, device: there.device };
  const device = await attachReadOnly(image, signal);
  const after = await look(signal);
  const made = after.devices.find((loop) => loop.device === device);
  // Between the look at the file and losetup the image may have been replaced: such a loop is not what was asked for.
  if (made?.fileId !== fileId || !made.readOnly || made.autoclear)
    throw new DormouseError(
      'LOOP_FAILED',
      `${device} was bound to ${image}, but is not what was asked for.`,
      {
        data: { image, device, file_id: fileId, found: made ?? null },
      },
    );
  return { look: after, device };
}

/** Detaches every loop that nobody holds and no device uses, and looks again: that alone says what became of them. */
async function tidy(
  settled: (devices: readonly string[], signal: AbortSignal) => Promise<Look>,
  { loops, before }: { loops: RegistryContext['loops']; before: Look },
  signal: AbortSignal,
  log: { warn(data: object, message: string): void },
): Promise<Look> {
  const done = idle(seen(loops, before));
  if (done.length === 0) return before;
  const errors: Record<string, ErrorRecord> = {};
  for (const { device } of done) {
    await detachLoop(device, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      errors[device] = toDormouseError(error).toRecord();
    });
  }
  const after = await settled(
    done.map(({ device }) => device),
    signal,
  );
  for (const leak of leaks(seen(loops, after))) {
    if (done.some(({ device }) => device === leak.device))
      log.warn({ ...leak, error: errors[leak.device] }, 'a loop device stays');
  }
  return after;
}

function stillUsed(holder: string, device: string): DormouseError {
  return new DormouseError(
    'DEVICE_BUSY',
    `${holder} still stands on ${device}. Remove that device first; the loop stays held.`,
    { data: { holder, device } },
  );
}
