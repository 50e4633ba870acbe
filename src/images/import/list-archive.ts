import type { Hash } from 'node:crypto';
import type { Archive } from './archive.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';
import { runTar } from './run-tar.ts';
import { type Entry, parseListing } from './tar-listing.ts';

/** What all archives of one upload have used of its limits. */
export interface Used {
  bytes: number;
  entries: number;
  namesBytes: number;
}

export const nothingUsed = (): Used => ({ bytes: 0, entries: 0, namesBytes: 0 });

export interface ListOptions {
  limits: ImportLimits;
  used: Used;
  signal: AbortSignal;
  /** Is told of bytes of the archive that were read. */
  read(bytes: number): void;
  /** Gets the decompressed archive. */
  hash?: Hash;
}

/** Longest target of a symlink, in bytes: it has to fit into a block, with a zero at its end. */
const LINK_BYTES_MAX = 4095;

/**
 * Reads what is in the archive, and writes nothing.
 *
 * @returns its entries, in its order
 * @throws `TEMPLATE_INVALID` when it cannot be read, or exceeds the limits together with what was used of them;
 * `DISK_FAILED`, `DEPENDENCY_MISSING`; the signal's reason when it aborts
 */
export async function listArchive(archive: Archive, options: ListOptions): Promise<Entry[]> {
  const { limits, used, signal, read, hash } = options;
  if (archive.looksLike === 'ext4')
    throw invalid('unknown-format', 'The file is an ext4 file system, and no archive.');
  const entries: Entry[] = [];
  const line = (text: string): void => {
    const entry = parseListing(text);
    used.entries += 1;
    used.bytes += entry.bytes;
    used.namesBytes += entry.name.length + entry.target.length;
    check(entry, used, limits);
    entries.push(entry);
  };
  const args = ['--list', '--verbose', '--numeric-owner', '--quoting-style=c', '--warning=none'];
  await runTar(args, { archive, limits, signal, read, line, ...(hash ? { hash } : {}) });
  return entries;
}

function check({ name, kind, target }: Entry, used: Used, limits: ImportLimits): void {
  const entry = { entry: name };
  if (used.entries > limits.entries)
    throw invalid('too-many-entries', `The archive has more than ${limits.entries} files.`, entry);
  if (used.namesBytes > limits.namesBytes)
    throw invalid(
      'too-many-entries',
      `The names of the archive's files have more than ${limits.namesBytes} bytes together.`,
      entry,
    );
  if (used.bytes > limits.bytes)
    throw invalid('too-large', `The files of the archive have more than ${limits.bytes} bytes.`, entry);
  if (kind === 'symlink' && (target === '' || target.length > LINK_BYTES_MAX))
    throw invalid('symlink', `The archive has a symlink to a name of ${target.length} bytes.`, entry);
}
