import fc from 'fast-check';
import { firstContext, type SandboxContext, type SandboxInput } from '../../../src/actors/sandbox/context.ts';
import type { Slot } from '../../../src/drivers/network/types.ts';
import type { VmRef } from '../../../src/drivers/vmm/types.ts';

export const SANDBOX_ID = 'sb-aaaaaaaaaaaaaaaaaaaa';

/** What a sandbox begins with. */
export function sandboxInput(
  changes: Partial<SandboxInput> = {},
  options: Partial<SandboxContext['options']> = {},
): SandboxInput {
  return {
    id: SANDBOX_ID,
    teamId: '00000000-0000-4000-8000-000000000001',
    hostId: 'h-test',
    createdAtMs: 0,
    options: {
      template: 'minimal',
      vcpus: 1,
      memory_mb: 256,
      disk_size_mb: 1024,
      timeout_s: 0,
      on_timeout: 'pause',
      auto_resume: false,
      metadata: {},
      ...options,
    },
    source: { kind: 'image', imagePath: '/host/image' },
    kernel: { kernelPath: '/host/kernel', initrdPath: '/host/initrd' },
    mac: '02:64:00:00:00:01',
    machineId: '0'.repeat(32),
    secret: '0'.repeat(64),
    command: { id: 'create', name: 'create', deadlineMs: 1 },
    ...changes,
  };
}

export function sandboxContext(changes: Partial<SandboxContext> = {}): SandboxContext {
  return { ...firstContext(sandboxInput()), ...changes };
}

export const SLOT: Slot = {
  number: 3,
  namespace: 'dm-slot-3',
  namespacePath: '/host/netns/dm-slot-3',
  tap: 'tap0',
  address: '10.200.0.3',
};
export const VM: VmRef = { sandboxId: SANDBOX_ID, runDir: '/host/run', pid: 4711, startTicks: '1' };

/** Marks what must stay on the host: whatever holds it is told from whatever may be seen. */
export const HIDDEN = 'must-stay-on-the-host';

/** Marks what is shown to whoever looks into a sandbox, and is no part of what callers are answered. */
export const INSIDE = 'seen-by-those-who-look-inside';

/** Contexts as they come up, with `HIDDEN` and `INSIDE` in everything that no caller may see. */
export const contexts: fc.Arbitrary<SandboxContext> = fc
  .record({
    teamId: fc.uuid(),
    options: fc.record({
      template: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,62}$/),
      vcpus: fc.integer({ min: 1, max: 64 }),
      memory_mb: fc.integer({ min: 96, max: 1_048_576 }),
      disk_size_mb: fc.integer({ min: 64, max: 16_777_216 }),
      timeout_s: fc.integer({ min: 0, max: 31_536_000 }),
      on_timeout: fc.constantFrom('pause' as const, 'destroy' as const),
      auto_resume: fc.boolean(),
      metadata: fc.dictionary(fc.stringMatching(/^[A-Za-z0-9.-]{1,64}$/), fc.string({ maxLength: 32 }), {
        maxKeys: 4,
      }),
    }),
    createdAtMs: fc.nat(4e12),
    warm: fc.boolean(),
    up: fc.boolean(),
    execution: fc.integer({ min: 1, max: 1000 }),
    expiresAtMs: fc.option(fc.nat(4e12)),
    error: fc.option(fc.record({ detail: fc.string(), field: fc.string() })),
    busy: fc.boolean(),
  })
  .map(({ warm, up, error, busy, ...plain }) => ({
    ...sandboxContext(plain),
    source: warm
      ? { kind: 'snapshot' as const, dir: `/${HIDDEN}/warm` }
      : { kind: 'image' as const, imagePath: `/${HIDDEN}/image` },
    kernel: { kernelPath: `/${HIDDEN}/kernel`, initrdPath: `/${HIDDEN}/initrd` },
    mac: HIDDEN,
    machineId: HIDDEN,
    secret: HIDDEN,
    slot: up
      ? { ...SLOT, namespace: INSIDE, namespacePath: `/${HIDDEN}`, tap: HIDDEN, address: HIDDEN }
      : null,
    vm: up ? { ...VM, runDir: `/${HIDDEN}/run`, startTicks: HIDDEN } : null,
    diskPath: up ? `/${HIDDEN}/disk` : null,
    lastError: error && {
      code: 'STEP_FAILED' as const,
      detail: error.detail,
      data: { field: error.field, where: HIDDEN },
      causes: [INSIDE],
    },
    command: busy ? { id: 'c-1', name: 'pause', deadlineMs: 1 } : null,
  }));
