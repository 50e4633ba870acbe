/** The journal is written round and round, so its size is what every clone comes to take, in MiB. */
export const JOURNAL_MB = 16;

/** Bytes in a block of every file system that is made here. */
export const BLOCK_BYTES = 4096;

export interface Mke2fsChoices {
  /** Label of the file system, at most 16 characters. */
  label: string;
  /** There is one inode for each that many bytes, in whatever size the file system comes to have. */
  bytesPerInode?: number;
}

/**
 * How every root file system is made, mke2fs(8):
 *
 * - `assume_storage_prezeroed`: a new sparse file reads as zeros, so neither inode tables nor journal are written, and
 *   the inode tables are marked as zeroed. Otherwise every guest would zero them in the background (ext4's lazy
 *   init): 320 MB for 20 GiB.
 * - `-b`, `-i`: as for a large file system, since a small image grows with the disk that it becomes.
 * - `-m 0`: nothing is reserved for root; the guest gets the size that was asked for.
 */
export function mke2fsOptions({ label, bytesPerInode = 16384 }: Mke2fsChoices): string[] {
  return [
    ...[
      '-q',
      '-F',
      '-t',
      'ext4',
      '-b',
      String(BLOCK_BYTES),
      '-i',
      String(bytesPerInode),
      '-m',
      '0',
      '-L',
      label,
    ],
    ...['-J', `size=${JOURNAL_MB}`],
    ...['-E', 'assume_storage_prezeroed=1,root_owner=0:0'],
  ];
}
