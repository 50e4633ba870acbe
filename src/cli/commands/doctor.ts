import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import type { Accelerator } from '../../drivers/vmm/types.ts';
import { createLogger } from '../../log.ts';
import { withExamples, withJson } from '../options.ts';
import { print } from '../output.ts';

/** Guest kernel and initramfs as the set-up makes them. */
const GUEST_ASSETS = path.join(import.meta.dirname, '..', '..', '..', '.cache', 'guest');

/** `dormouse doctor`: what this machine has, and what each missing thing costs. */
export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .description('say what this machine has of what Dormouse uses; status 1 when something needed is missing')
    .action(async ({ json = false }: { json?: boolean }) => {
      // Loaded when it is run: it brings the drivers with it.
      const { runDoctor } = await import('../../doctor/index.ts');
      const config = loadConfig();
      const { text, ok } = await runDoctor(config, {
        json,
        accelerator: (signal) => tryAccelerator(config, signal),
      });
      print(text.trimEnd());
      if (!ok) process.exitCode = 1;
    });
  withExamples(withJson(command, 'print the findings as one JSON document'), [
    ['dormouse doctor', 'accelerator, disks, network, versions'],
  ]);
}

/** Asks the driver, in a folder that is removed again: an examination changes nothing in the data directory. */
async function tryAccelerator(config: Config, signal: AbortSignal): Promise<Accelerator> {
  const { createQemuDriver } = await import('../../drivers/vmm/qemu/index.ts');
  const { installGuestAssets } = await import('../../images/guest-assets.ts');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-doctor-'));
  try {
    const kernel = await installGuestAssets(GUEST_ASSETS, folder);
    const vmm = createQemuDriver({
      clock: systemClock,
      log: createLogger('doctor', 'silent'),
      qemu: config.qemu,
      accelerator: config.accelerator,
      probe: { ...kernel, memoFile: path.join(folder, 'accelerator.json') },
    });
    return await vmm.accelerator(signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
