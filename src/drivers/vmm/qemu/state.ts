import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileError, syncFolder, syncPath } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import type { Qmp, QmpEvent } from './qmp.ts';

/**
 * The device state of a machine in a file: what QEMU calls a migration, with `x-ignore-shared`, so that the memory, which
 * is a shared file, is not part of it (QEMU documentation, "Migration framework").
 */

export const STATE_FILE = 'device.state';
const CAPABILITIES = {
  capabilities: [
    { capability: 'x-ignore-shared', state: true },
    { capability: 'events', state: true },
  ],
};
/** No limits: the state is small and local, and the vCPUs stand still. */
const PARAMETERS = { 'max-bandwidth': 10 ** 12, 'downtime-limit': 10 ** 6 };

const ended = (event: QmpEvent): boolean =>
  event.event === 'MIGRATION' && ['completed', 'failed', 'cancelled'].includes(String(event.data.status));

/**
 * Writes the device state of a frozen machine into `dir`, durably. On failure nothing of it is left there.
 *
 * @param socketPath where QEMU hands the state over; removed again
 */
export async function saveState(
  qmp: Qmp,
  dir: string,
  socketPath: string,
  signal: AbortSignal,
): Promise<void> {
  const file = path.join(dir, STATE_FILE);
  await rm(socketPath, { force: true });
  const server = net.createServer();
  try {
    const received = receive(server, file);
    received.catch(() => {});
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
    await qmp.command('migrate-set-capabilities', CAPABILITIES, signal);
    await qmp.command('migrate-set-parameters', PARAMETERS, signal);
    const end = qmp.event(ended, signal);
    end.catch(() => {});
    await qmp.command('migrate', { uri: `unix:${socketPath}` }, signal);
    // A file that cannot be written shows here first; QEMU then only sees a connection that ends.
    const event = await Promise.race([end, received.then(() => end)]);
    if (event.data.status !== 'completed') throw await failure(qmp, signal);
    await received;
    await syncPath(file);
    await syncFolder(dir);
  } catch (error) {
    await qmp.command('migrate_cancel', {}, AbortSignal.timeout(1000)).catch(() => {});
    await rm(file, { force: true }).catch(() => {});
    throw error;
  } finally {
    server.close();
    await rm(socketPath, { force: true }).catch(() => {});
  }
}

/** Opens the device state in `dir` for a monitor to inherit. Throws `SNAPSHOT_INVALID` when there is none. */
export async function openState(dir: string) {
  return await open(path.join(dir, STATE_FILE), 'r').catch((error: unknown) => {
    throw new DormouseError('SNAPSHOT_INVALID', `${dir} holds no device state.`, { cause: error });
  });
}

/** Loads the state from the descriptor that the monitor inherited. vCPUs are stopped afterwards. */
export async function loadState(qmp: Qmp, fd: number, signal: AbortSignal): Promise<void> {
  await qmp.command('migrate-set-capabilities', CAPABILITIES, signal);
  const end = qmp.event(ended, signal);
  end.catch(() => {});
  await qmp.command('migrate-incoming', { uri: `fd:${fd}` }, signal);
  if ((await end).data.status !== 'completed') throw await failure(qmp, signal);
}

async function receive(server: net.Server, file: string): Promise<void> {
  const socket = await new Promise<net.Socket>((resolve, reject) => {
    server.once('connection', resolve);
    server.once('close', () => reject(new DormouseError('VMM_FAILED', 'QEMU did not hand over its state.')));
  });
  await pipeline(socket, createWriteStream(file, { flags: 'w', mode: 0o600 })).catch((error: unknown) => {
    throw fileError(file, error);
  });
}

async function failure(qmp: Qmp, signal: AbortSignal): Promise<DormouseError> {
  const info = (await qmp.command('query-migrate', {}, signal)) as { 'error-desc'?: string };
  return new DormouseError(
    'VMM_FAILED',
    `QEMU could not hand over its state: ${info['error-desc'] ?? 'no reason given'}.`,
  );
}
