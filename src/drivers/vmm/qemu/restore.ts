import { within } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import { checkMemoryFile, type Launch, launch } from './launch.ts';
import { lastLogLine } from './log-file.ts';
import type { Machine, MachinePorts } from './machine.ts';
import { migrate, setUpMigration } from './migration.ts';
import { openState } from './state-file.ts';

/** Number of the descriptor that a machine inherits beside its standard ones. */
const INHERITED_FD = 3;
/** Longest time that undoing a load may take, in milliseconds. */
const UNDO_MS = 10_000;

/**
 * Starts QEMU and loads the devices' state that `saveState` wrote. The vCPUs are stopped on return. Nothing is left when it
 * fails.
 *
 * @throws `SNAPSHOT_INVALID` when the state is missing, cut short or of another machine, `VMM_FAILED`, `DISK_FULL`,
 * `DATA_DIR_UNWRITABLE`; the signal's reason
 */
export async function restoreMachine(
  launched: Omit<Launch, 'beginning' | 'inherit'>,
  stateDir: string,
  ports: MachinePorts,
  signal: AbortSignal,
): Promise<Machine> {
  const { spec } = launched;
  await checkMemoryFile(spec.memoryPath, spec.memoryMb);
  const state = await openState(stateDir);
  try {
    const machine = await launch({ ...launched, beginning: 'load', inherit: state.fd }, ports, signal);
    try {
      await load(machine, signal);
      return machine;
    } catch (error) {
      await within(ports.clock, UNDO_MS, (undoing) => machine.stop(0, undoing));
      signal.throwIfAborted();
      const line = await lastLogLine(spec.runDir);
      throw new DormouseError(
        'SNAPSHOT_INVALID',
        `QEMU cannot load the snapshot: ${line || 'it said nothing'}`,
        {
          cause: error,
        },
      );
    }
  } finally {
    await state.close();
  }
}

async function load(machine: Machine, signal: AbortSignal): Promise<void> {
  const monitor = await machine.monitor(signal);
  await setUpMigration(monitor, signal);
  const begin = (): Promise<unknown> =>
    monitor.execute('migrate-incoming', { uri: `fd:${INHERITED_FD}` }, signal);
  // A state that does not fit ends the process.
  const end = await migrate(monitor, begin, signal);
  const { status, running } = await monitor.execute('query-status', undefined, signal);
  if (end !== 'completed' || running)
    throw new DormouseError('VMM_FAILED', `Loading ended as ${end}, and the machine is ${status}.`);
}
