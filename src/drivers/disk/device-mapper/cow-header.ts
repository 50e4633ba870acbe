import { type FileHandle, open } from 'node:fs/promises';
import { DormouseError } from '../../../errors/index.ts';
import { diskError } from '../files.ts';
import { CHUNK_BYTES, CHUNK_SECTORS } from './cow-size.ts';

/**
 * The first 16 bytes of a copy-on-write file: `struct disk_header` of drivers/md/dm-snap-persistent.c, four little-endian
 * 32-bit numbers: magic, valid, version, chunk size in sectors. All zeros: the kernel makes a new exception store of it.
 */
const HEADER_BYTES = 16;
/** "SnAp". */
const MAGIC = 0x70416e53;

/**
 * Checks that the kernel can go on with this file. It would take an invalid one without a word, and then answer every read
 * with an error.
 *
 * @throws `DISK_LOST` when the kernel has marked it invalid, or it is something else; `DISK_FAILED` when it cannot be read
 */
export async function checkCowHeader(file: string): Promise<void> {
  check(await withFile(file, 'r', (handle) => firstBytes(handle, HEADER_BYTES)), file);
}

/**
 * As `checkCowHeader`, of a file that nobody else has open and that the kernel is about to get. Makes sure, too, that the kernel can
 * mark it as invalid whatever happens. The header of a clone shares its block with that of another file, so writing to it takes a new
 * block: on a full store the mark would be lost, and the next time the disk would look whole. So the header is written once, as it
 * is, and has a block of its own from then on.
 *
 * @throws as `checkCowHeader`; `DISK_FULL` when there is no block for it
 */
export async function ownCowHeader(file: string): Promise<void> {
  await withFile(file, 'r+', async (handle) => {
    const chunk = await firstBytes(handle, CHUNK_BYTES);
    check(chunk.subarray(0, HEADER_BYTES), file);
    // A new file is written by the kernel when it gets it.
    if (chunk.some((byte) => byte !== 0)) await handle.write(chunk, 0, chunk.length, 0);
  });
}

async function withFile<T>(
  file: string,
  flags: 'r' | 'r+',
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  try {
    const handle = await open(file, flags);
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DormouseError) throw error;
    const done = flags === 'r' ? 'read' : 'prepared';
    throw diskError(`The copy-on-write file ${file} could not be ${done}`, error);
  }
}

async function firstBytes(handle: FileHandle, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count);
  await handle.read(bytes, 0, count, 0);
  return bytes;
}

function check(header: Buffer, file: string): void {
  if (header.every((byte) => byte === 0)) return;
  const [magic, valid, , chunkSectors] = [0, 4, 8, 12].map((at) => header.readUInt32LE(at));
  if (magic !== MAGIC || chunkSectors !== CHUNK_SECTORS)
    throw new DormouseError(
      'DISK_LOST',
      'The copy-on-write file of the disk is damaged: it does not begin as the kernel writes it.',
      { data: { file, header: header.toString('hex') } },
    );
  if (valid === 0)
    throw new DormouseError(
      'DISK_LOST',
      'The kernel marked the disk as invalid when it could not write to it. What it held cannot be read any more.',
      { data: { file } },
    );
}
