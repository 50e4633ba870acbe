import { once } from 'node:events';
import { type FileHandle, open, rm } from 'node:fs/promises';
import net from 'node:net';
import type { Clock } from '../../../clock.ts';
import { fileError, renameDurably } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import { withDeadline } from './abort.ts';
import { stateSocket } from './command-line.ts';
import type { Machine } from './machine.ts';
import { hasEnded, migrate, setUpMigration } from './migration.ts';
import type { QmpClient } from './qmp.ts';
import { discardState, partialFile, stateFile, writeState } from './state-file.ts';

/** Bytes per second. The stream goes through a socket into a file; nothing must hold it back. */
const BANDWIDTH = 10 ** 12;
/** The vCPUs stand still already, so no downtime is too long. In milliseconds. */
const DOWNTIME_MS = 10 ** 6;
/** Longest time to end a migration that failed, in milliseconds. */
const CANCEL_MS = 5_000;
const CANCEL_POLL_MS = 5;

/**
 * Writes the state of a frozen machine's devices to a file in `stateDir`, durably. QEMU hands the bytes over a socket and
 * this process writes them, so that QEMU needs no access to the folder. When it fails, what was written is deleted and the
 * machine is frozen as before.
 *
 * @throws `VMM_FAILED`, `VMM_GONE`, `DISK_FULL`, `DATA_DIR_UNWRITABLE`; the signal's reason
 */
export async function saveState(
  machine: Machine,
  stateDir: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const monitor = await machine.monitor(signal);
  await discardState(stateDir);
  await makeSavable(monitor, signal);
  const partial = partialFile(stateDir);
  try {
    const file = await open(partial, 'wx', 0o600).catch((error: unknown) => {
      throw fileError(partial, error);
    });
    try {
      await transfer(monitor, stateSocket(machine.ref.runDir), file, partial, signal);
    } finally {
      await file.close();
    }
    await renameDurably(partial, stateFile(stateDir));
  } catch (error) {
    await endMigration(monitor, clock).catch(() => {});
    await discardState(stateDir).catch(() => {});
    throw error;
  }
}

/**
 * After a migration that QEMU completed, it takes no other until the vCPUs have run, if only for an instant. That happens
 * when the file could not be written to its end, or the agent died before it had noted the save.
 */
async function makeSavable(monitor: QmpClient, signal: AbortSignal): Promise<void> {
  const { status, running } = await monitor.execute('query-status', undefined, signal);
  if (running) throw new DormouseError('VMM_FAILED', 'A machine that runs cannot be saved: freeze it first.');
  if (status !== 'postmigrate') return;
  await monitor.execute('cont', undefined, signal);
  await monitor.execute('stop', undefined, signal);
}

/** Has QEMU send the state to a socket of ours and writes it to the file, through to the disk. */
async function transfer(
  monitor: QmpClient,
  socketPath: string,
  file: FileHandle,
  fileName: string,
  signal: AbortSignal,
): Promise<void> {
  await setUpMigration(monitor, signal);
  const limits = { 'max-bandwidth': BANDWIDTH, 'downtime-limit': DOWNTIME_MS };
  await monitor.execute('migrate-set-parameters', limits, signal);
  const receiver = await receive(socketPath, file, fileName);
  try {
    const send = (): Promise<unknown> => monitor.execute('migrate', { uri: `unix:${socketPath}` }, signal);
    const sent = migrate(monitor, send, signal).then(async (end) => {
      if (end === 'completed') return;
      const why = (await monitor.execute('query-migrate', undefined, signal))['error-desc'];
      throw new DormouseError('VMM_FAILED', `QEMU could not write its state: ${why ?? end}.`);
    });
    // A failure to write comes first, and then that QEMU could not send.
    const [bytes] = await unlessAborted(Promise.all([receiver.written, sent]), signal);
    await file.sync().catch((error: unknown) => {
      throw fileError(fileName, error);
    });
    if (bytes === 0) throw new DormouseError('VMM_FAILED', 'QEMU sent no state.');
  } finally {
    await receiver.close();
  }
}

interface Receiver {
  /** How many bytes came, once all of them are written. */
  written: Promise<number>;
  close(): Promise<void>;
}

/** Listens for one connection and writes what comes over it to the file. */
async function receive(socketPath: string, file: FileHandle, fileName: string): Promise<Receiver> {
  await rm(socketPath, { force: true });
  const written = Promise.withResolvers<number>();
  written.promise.catch(() => {});
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    server.close();
    sockets.add(socket);
    writeState(file, socket).then(written.resolve, (error: unknown) => {
      written.reject(fileError(fileName, error));
      socket.destroy();
    });
  });
  server.listen(socketPath);
  await once(server, 'listening').catch((error: unknown) => {
    throw fileError(socketPath, error);
  });
  return {
    written: written.promise,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await rm(socketPath, { force: true });
    },
  };
}

/** Makes sure that no migration is under way, so that the machine takes the next command. */
async function endMigration(monitor: QmpClient, clock: Clock): Promise<void> {
  await withDeadline(clock, CANCEL_MS, 'Ending a migration', async (signal) => {
    await monitor.execute('migrate_cancel', undefined, signal);
    for (;;) {
      const { status } = await monitor.execute('query-migrate', undefined, signal);
      if (status === undefined || hasEnded(status)) return;
      await clock.sleep(CANCEL_POLL_MS, signal);
    }
  });
}
