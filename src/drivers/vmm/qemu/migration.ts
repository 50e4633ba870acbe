import { DormouseError } from '../../../errors/index.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import type { QmpClient } from './qmp.ts';

/**
 * QEMU's migration, used to write the state of the devices to a file and to load it from there. The guest's memory is a
 * file that both sides map shared, so it is left out (`x-ignore-shared`): what remains is some 70 KB, whatever the size
 * of the guest (https://www.qemu.org/docs/master/devel/migration/features.html).
 */

/** States in which a migration ends. */
const ENDS = ['completed', 'failed', 'cancelled'] as const;
export type MigrationEnd = (typeof ENDS)[number];

export function hasEnded(status: unknown): status is MigrationEnd {
  return (ENDS as readonly unknown[]).includes(status);
}

/** Leaves out the memory and announces the migration's states. Must be the same on both sides. */
export async function setUpMigration(monitor: QmpClient, signal: AbortSignal): Promise<void> {
  const capabilities = ['x-ignore-shared', 'events'].map((capability) => ({ capability, state: true }));
  await monitor.execute('migrate-set-capabilities', { capabilities }, signal);
}

/**
 * Begins a migration and waits for its end.
 *
 * @throws what `begin` throws; `VMM_FAILED` when the monitor goes away meanwhile; the signal's reason
 */
export async function migrate(
  monitor: QmpClient,
  begin: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<MigrationEnd> {
  const end = Promise.withResolvers<MigrationEnd>();
  const stopListening = monitor.onEvent(({ event, data }) => {
    if (event === 'MIGRATION' && hasEnded(data.status)) end.resolve(data.status);
  });
  void monitor.ended.then(() =>
    end.reject(new DormouseError('VMM_FAILED', 'QEMU ended the connection during a migration.')),
  );
  try {
    const [reached] = await unlessAborted(Promise.all([end.promise, begin()]), signal);
    return reached;
  } finally {
    end.promise.catch(() => {});
    stopListening();
  }
}
