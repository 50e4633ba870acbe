import { open } from 'node:fs/promises';
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
 * Checks that the kernel can go on with this file, which nobody else has open. It would take an invalid one without a word, and then
 * answer every read with an error.
 *
 * Makes sure, too, that the kernel can mark it as invalid whatever happens. A clone shares the block of its header, so writing to
 * that takes a new block: on a full store the mark would be lost, and the next time the disk would look whole. So the header
 * is written as it is, and each of the two files has a block of its own from then on.
 *
 * @throws `DISK_LOST` when the kernel has marked it invalid, or it is something else; `DISK_FULL` when there is no block for the
 * header; `DISK_FAILED` when it cannot be read
 */
export async function ownCowHeader(file: string): Promise<void> {
  try {
    const handle = await open(file, 'r+');
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      await handle.read(chunk, 0, CHUNK_BYTES, 0);
      checkHeader(chunk.subarray(0, HEADER_BYTES), file);
      // That of a new file is written by the kernel.
      if (chunk.some((byte) => byte !== 0)) await handle.write(chunk, 0, CHUNK_BYTES, 0);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DormouseError) throw error;
    throw diskError(`The copy-on-write file ${file} could not be prepared`, error);
  }
}

function checkHeader(header: Buffer, file: string): void {
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
