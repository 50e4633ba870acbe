import path from 'node:path';
import type { VmRef, VmSpec } from '../../../drivers/vmm/types.ts';
import { DormouseError } from '../../../errors/index.ts';
import { MEMORY_FILE, type SandboxPaths } from '../../../paths.ts';
import type { SandboxContext } from '../context.ts';
import { bootToken } from '../token.ts';

/** What a monitor needs to start the sandbox's machine on `live/`. Disk and slot must be there. */
export function vmSpec(context: SandboxContext, paths: SandboxPaths): VmSpec {
  if (!context.slot || !context.diskPath)
    throw new DormouseError('INTERNAL', 'A virtual machine was to be started without a disk or a slot.');
  return {
    sandboxId: context.id,
    runDir: paths.run,
    vcpus: context.options.vcpus,
    memoryMb: context.options.memory_mb,
    memoryPath: path.join(paths.live, MEMORY_FILE),
    diskPath: context.diskPath,
    slot: context.slot,
    kernelPath: context.kernel.kernelPath,
    initrdPath: context.kernel.initrdPath,
    mac: context.mac,
    hostname: context.id,
    token: bootToken(context, context.execution),
  };
}

/** The machine that the context says is there. Throws `VMM_GONE` when it says none. */
export function vmOf(context: SandboxContext): VmRef {
  if (!context.vm) throw new DormouseError('VMM_GONE', 'The sandbox has no virtual machine.');
  return context.vm;
}
