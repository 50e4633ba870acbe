import { execa } from 'execa';
import { DormouseError, messageOf } from '../../errors/index.ts';
import { dmsetup, failureOf } from './device-mapper/dmsetup.ts';

/** Whether device-mapper snapshots can be made here, and why not. */
export type Support = { ok: true } | { ok: false; reason: string };

/**
 * Asks the kernel. Its modules are loaded if they are there: the control device loads device-mapper by itself, and the snapshot
 * target otherwise only with the first table that names it.
 */
export async function deviceMapperSupport(): Promise<Support> {
  if (process.geteuid?.() !== 0) return { ok: false, reason: 'only root makes devices' };
  try {
    if (await hasSnapshot()) return { ok: true };
    await execa('modprobe', ['--quiet', 'dm-snapshot'], { reject: false });
    if (await hasSnapshot()) return { ok: true };
    return { ok: false, reason: 'the kernel has no snapshot target (CONFIG_DM_SNAPSHOT)' };
  } catch (error) {
    if (failureOf(error) === 'unsupported') return { ok: false, reason: 'the kernel has no device-mapper' };
    const [first = ''] = (error instanceof DormouseError ? error.detail : messageOf(error)).split('\n');
    return { ok: false, reason: first };
  }
}

/** dmsetup prints a line for each target, such as `snapshot         v1.16.0`. */
async function hasSnapshot(): Promise<boolean> {
  return /^snapshot\s/m.test(await dmsetup(['targets']));
}
