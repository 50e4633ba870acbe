import { readFile, writeFile } from 'node:fs/promises';

/**
 * Counts the devices that device-mapper makes by a probe of the kernel: on the function that makes a device's queue, which
 * runs once for each, when its first table is loaded (Documentation/trace/kprobetrace.rst of Linux).
 */

const TRACING = '/sys/kernel/tracing';
const FUNCTION = 'dm_setup_md_queue';
const EVENT = 'dormouse_devices';

export interface DeviceCount {
  /** Devices since `countDevices`; undefined when the kernel cannot count. */
  made(): Promise<number | undefined>;
}

export async function countDevices(): Promise<DeviceCount> {
  try {
    await writeFile(`${TRACING}/kprobe_events`, `p:${EVENT} ${FUNCTION}\n`, { flag: 'a' });
    await writeFile(`${TRACING}/events/kprobes/${EVENT}/enable`, '1');
  } catch {
    return { made: async () => undefined };
  }
  const hits = async (): Promise<number> => {
    const profile = await readFile(`${TRACING}/kprobe_profile`, 'utf8');
    return Number(new RegExp(`^\\s*${EVENT}\\s+(\\d+)`, 'm').exec(profile)?.[1] ?? 0);
  };
  const before = await hits();
  return { made: async () => (await hits()) - before };
}
