/**
 * How large a copy-on-write file must be so that it can never overflow. A snapshot that overflows is a lost disk: with `P` the
 * kernel marks it invalid for ever.
 *
 * Layout of the persistent exception store, drivers/md/dm-snap-persistent.c of Linux (`area_location`, and
 * Documentation/admin-guide/device-mapper/snapshot.rst): chunk 0 is a header; then areas follow, each of one metadata
 * chunk and as many data chunks as it has entries. An entry is two 64-bit numbers (`struct disk_exception`). So with
 * chunks of 4096 bytes an area is 1 + 256 chunks.
 *
 * As soon as an area is full the kernel clears the metadata chunk of the next one (`persistent_commit_exception`), also when
 * nothing will ever be written there. That chunk must exist: without it the snapshot becomes invalid at the last entry.
 */

export const SECTOR_BYTES = 512;
/** Size of a chunk in sectors: the unit in which blocks are copied. 8 is the page size, and the block size of ext4. */
export const CHUNK_SECTORS = 8;
export const CHUNK_BYTES = CHUNK_SECTORS * SECTOR_BYTES;
/** `struct disk_exception`: the old chunk's number and the new one's. */
const EXCEPTION_BYTES = 16;
const EXCEPTIONS_PER_AREA = CHUNK_BYTES / EXCEPTION_BYTES;
const HEADER_CHUNKS = 1;

/**
 * Size of the smallest file that takes every chunk of a disk, in bytes.
 *
 * `header + data + areas`, with `data = ceil(sectors / 8)` chunks and `areas = floor(data / 256) + 1`: one for each 256 chunks
 * that were begun, and one more when the last one is exactly full.
 *
 * @param sectors size of the disk in sectors of 512 bytes
 */
export function cowBytes(sectors: number): number {
  const data = Math.ceil(sectors / CHUNK_SECTORS);
  const areas = Math.floor(data / EXCEPTIONS_PER_AREA) + 1;
  return (HEADER_CHUNKS + data + areas) * CHUNK_BYTES;
}
