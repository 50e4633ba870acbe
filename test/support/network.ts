import { randomUUID } from 'node:crypto';
import { systemClock } from '../../src/clock.ts';
import { createNamespaceDriver } from '../../src/drivers/network/namespace/index.ts';
import type { NetworkDriver } from '../../src/drivers/network/types.ts';
import { quiet } from './quiet.ts';

interface Teardown {
  teardown(undo: () => Promise<unknown>): unknown;
}

/** A host id that no other test has: slot numbers are shared with everything that runs on the machine. */
export const testHostId = (): string => `h-test-${randomUUID().slice(0, 8)}`;

/** A driver on the machine's own ledger, not started. At the end nothing of its host is left, whoever made it. */
export function testNetwork(t: Teardown, spareSlots: number, hostId = testHostId()): NetworkDriver {
  const options = { hostId, spareSlots, log: quiet, clock: systemClock };
  const driver = createNamespaceDriver(options);
  t.teardown(async () => {
    await driver.stop();
    const cleaner = createNamespaceDriver({ ...options, spareSlots: 0 });
    await cleaner.start(new Set(), AbortSignal.timeout(60_000));
    await cleaner.stop();
  });
  return driver;
}
