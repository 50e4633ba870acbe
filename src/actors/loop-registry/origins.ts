import type { Clock } from '../../clock.ts';
import type { Origins } from '../../drivers/disk/index.ts';
import { hasCode } from '../../errors/index.ts';
import { newCommandId } from '../../ids.ts';
import type { CommandContext } from '../system/command.ts';
import type { LoopRegistry } from './loop-registry.ts';

/** How long the registry may take to answer, in milliseconds: its commands wait for the lane. */
const LIMIT_MS = 60_000;

/** The loop registry as disk drivers know it. */
export function originsOf(registry: () => LoopRegistry, clock: Clock): Origins {
  const context = (signal: AbortSignal): CommandContext => ({
    commandId: newCommandId(),
    deadlineMs: clock.nowMs() + LIMIT_MS,
    signal,
  });
  return {
    async acquire(image, holder, signal) {
      return (await registry().acquire(image, holder, context(signal))).device;
    },
    has: (loop) =>
      registry()
        .list()
        .some(({ device }) => device === loop),
    async release(holder, signal) {
      const held = registry()
        .list()
        .filter(({ holders }) => holders.includes(holder));
      for (const { image } of held) {
        await registry()
          .release(image, holder, context(signal))
          .catch((error: unknown) => {
            // The list also names the devices that the kernel showed, which may be gone meanwhile.
            if (!hasCode(error, 'LOOP_NOT_HELD')) throw error;
          });
      }
    },
  };
}
