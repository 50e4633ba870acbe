import { readFile } from 'node:fs/promises';

/**
 * Rate of the host's time stamp counter, which an emulated processor counts by as well.
 *
 * Told to an emulated guest, since a guest that measures it against an emulated timer fails when the host is busy, and then
 * waits for ever for ticks that do not come.
 *
 * @returns kHz; undefined when the host does not say
 */
export async function hostTscKhz(): Promise<number | undefined> {
  return tscKhzOf(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''));
}

/**
 * The rate from the text of /proc/cpuinfo. "cpu MHz" is the counter's rate on a host that is a virtual machine itself; on
 * bare metal (flag `aperfmperf`) it is what the processor runs at just now.
 */
export function tscKhzOf(cpuinfo: string): number | undefined {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(' '));
  const mhz = Number(/^cpu MHz\s*: ([\d.]+)$/m.exec(cpuinfo)?.[1]);
  if (!flags.has('constant_tsc') || flags.has('aperfmperf') || !(mhz > 0)) return undefined;
  return Math.round(mhz * 1000);
}
