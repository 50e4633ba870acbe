/** A process that starts the machine of the spec given, prints its reference and waits to be killed. */
import { systemClock as clock } from '../../src/clock.ts';
import { createQemuDriver } from '../../src/drivers/vmm/qemu/index.ts';
import type { VmSpec } from '../../src/drivers/vmm/types.ts';
import { quiet as log } from './quiet.ts';

const [text = ''] = process.argv.slice(2);
const spec = JSON.parse(text) as VmSpec;
const probe = { kernelPath: spec.kernelPath, initrdPath: spec.initrdPath, memoFile: '/dev/null' };
const driver = createQemuDriver({ clock, log, qemu: 'qemu-system-x86_64', accelerator: 'tcg', probe });
const vm = await driver.start(spec, AbortSignal.timeout(60_000));
process.stdout.write(`${JSON.stringify(vm)}\n`);
await clock.sleep(600_000);
