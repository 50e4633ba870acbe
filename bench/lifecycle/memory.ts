import { type Life, TRUE, timed, type Way } from './life.ts';
import type { Samples } from './statistics.ts';

/** The sizes of guest memory that are compared, in MiB, and what is dirty in each of them. */
export const SIZES_MB = [256, 1024] as const;
export const WORKING_SET_MB = 64;
export type MemoryMeasure = `${'pause' | 'resume'} ${(typeof SIZES_MB)[number]}`;

/** Writes the working set, anew each time: what was clean after a resume is dirty again. */
const WRITE_WORKING_SET = [
  '/bin/sh',
  '-c',
  `dd if=/dev/zero of=/tmp/work bs=1M count=${WORKING_SET_MB} conv=notrunc`,
];

/** Pauses and resumes two sandboxes in turn that differ in nothing but the size of their memory. */
export async function compareMemory(
  way: Way,
  rounds: number,
  settle: () => Promise<void>,
  samples: Samples<MemoryMeasure>,
): Promise<void> {
  const lives: Array<{ life: Life; memoryMb: (typeof SIZES_MB)[number] }> = [];
  try {
    for (const memoryMb of SIZES_MB) {
      await way.prepare(memoryMb);
      lives.push({ memoryMb, life: await way.create({ memoryMb, cold: false }) });
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const { life, memoryMb } of round % 2 === 0 ? lives : lives.toReversed()) {
        await life.exec(WRITE_WORKING_SET);
        await settle();
        samples.add(`pause ${memoryMb}`, (await timed(() => life.pause())).ms);
        await life.flushed();
        await way.prepare(memoryMb);
        await settle();
        samples.add(`resume ${memoryMb}`, (await timed(() => life.resume())).ms);
        await life.exec(TRUE);
      }
    }
  } finally {
    for (const { life } of lives) await life.destroy().catch(() => {});
  }
}
