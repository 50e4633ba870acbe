import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { DormouseError } from '../../../errors/index.ts';

/**
 * The file of the devices' state: one line with the SHA-256 of the rest in hexadecimal, and then what QEMU wrote. QEMU
 * itself notices neither a bit that changed nor all that is cut off. The file has its name only when it is complete.
 */

export const STATE_FILE = 'device.state';
const HEADER_BYTES = 65;

export const stateFile = (stateDir: string): string => path.join(stateDir, STATE_FILE);
export const partialFile = (stateDir: string): string => `${stateFile(stateDir)}.part`;

/** Deletes what a save wrote, complete or not. */
export async function discardState(stateDir: string): Promise<void> {
  await rm(stateFile(stateDir), { force: true });
  await rm(partialFile(stateDir), { force: true });
}

/** Writes everything that comes from QEMU to an empty file, with its header. Returns how many bytes came. */
export async function writeState(file: FileHandle, source: AsyncIterable<Uint8Array>): Promise<number> {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* withHeader(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(HEADER_BYTES, '\n');
    for await (const chunk of source) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  await file.writeFile(withHeader());
  await file.write(hash.digest('hex'), 0);
  return bytes;
}

/**
 * Opens a state for QEMU to inherit: what it reads begins after the header.
 *
 * @throws `SNAPSHOT_INVALID` when there is none, or it is not what was written
 */
export async function openState(stateDir: string): Promise<FileHandle> {
  const file = await open(stateFile(stateDir), 'r').catch((error: unknown) => {
    throw new DormouseError('SNAPSHOT_INVALID', `${stateDir} has no saved state of the devices.`, {
      cause: error,
    });
  });
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    // Reading moves the position of the descriptor, which is the one that QEMU goes on from; checking does not.
    await file.read(header, 0, HEADER_BYTES);
    if (header.toString() !== `${await hashOfRest(file)}\n`)
      throw new DormouseError('SNAPSHOT_INVALID', `The saved state in ${stateDir} is damaged or cut off.`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function hashOfRest(file: FileHandle): Promise<string> {
  const { size } = await file.stat();
  const rest = Buffer.alloc(Math.max(0, size - HEADER_BYTES));
  await file.read(rest, 0, rest.length, HEADER_BYTES);
  return createHash('sha256').update(rest).digest('hex');
}
