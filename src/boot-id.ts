import { readFile } from 'node:fs/promises';

let known: Promise<string> | undefined;

/** Id of this boot of the host (random(4), /proc/sys/kernel/random/boot_id): another one means that the power was gone. */
export function bootId(): Promise<string> {
  known ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim());
  return known;
}
