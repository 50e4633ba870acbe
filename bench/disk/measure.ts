import os from 'node:os';
import { deviceMapperSupport } from '../../src/drivers/disk/support.ts';
import { openHost } from './host.ts';
import { type Made, measureMaking } from './making.ts';
import { measureOperations, type Operated, type Worked } from './operations.ts';
import type { MeasureSettings } from './settings.ts';

/** The machine, or the emulated one, that was measured on. */
export interface Facts {
  cores: number;
  processor: string;
  kernel: string;
  node: string;
}

/** Everything that was measured. */
export interface Figures {
  facts: Facts;
  made: Made[];
  operated: Operated[];
  worked: Worked[];
}

/**
 * Measures on the kernel that this runs on. All devices and files are gone on return, also when it fails or `signal` aborts.
 *
 * @throws an `Error` that says why it cannot run here; the signal's reason
 */
export async function measure(
  settings: MeasureSettings,
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<Figures> {
  const support = await deviceMapperSupport();
  if (!support.ok) throw new Error(`There is no device-mapper here: ${support.reason}.`);
  const figures: Figures = { facts: factsOf(), made: [], operated: [], worked: [] };
  await using host = await openHost(settings, progress, signal);
  const heard = {
    operated: (figure: Operated) => void figures.operated.push(figure),
    worked: (work: Worked) => void figures.worked.push(work),
  };
  // Before there were many disks: their loop devices stay in the kernel, free, and are looked at by everybody.
  await measureOperations(host, settings, heard, progress, signal);
  await measureMaking(host, settings, (figure) => void figures.made.push(figure), progress, signal);
  progress('cleaning up');
  return figures;
}

function factsOf(): Facts {
  return {
    cores: os.cpus().length,
    processor: os.cpus()[0]?.model ?? 'unknown',
    kernel: os.release(),
    node: process.version,
  };
}
