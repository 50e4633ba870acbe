import { type FileHandle, open } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { execa } from 'execa';
import { diskError } from '../../drivers/disk/files.ts';
import { findProgram } from '../../embedded/child.ts';
import { DormouseError } from '../../errors/index.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';

/** A tar file, perhaps compressed, that is read several times. It is held open, so that each time it is the same file. */
export interface Archive {
  file: FileHandle;
  /** Size of the file, in bytes. */
  bytes: number;
  compression: Compression;
  /** What its first bytes say that it is; of a compressed one nothing is known before it is decompressed. */
  looksLike: 'tar' | 'ext4' | 'compressed' | 'nothing known';
  [Symbol.asyncDispose](): Promise<void>;
}

type Compression = 'none' | 'gzip' | 'xz' | 'zstd';

/** The first bytes of compressed files: RFC 1952, RFC 8878, and the .xz file format (section 2.1.1.1). */
const COMPRESSIONS: ReadonlyArray<readonly [Compression, Buffer]> = [
  ['gzip', Buffer.from('1f8b', 'hex')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
];
/** POSIX pax(1), ustar interchange format: where the magic of a header is. */
const TAR_MAGIC = { at: 257, bytes: Buffer.from('ustar') };
/** The superblock begins at 1024, its magic is at 0x38 in it (Documentation/filesystems/ext4/super.rst). */
const EXT4_MAGIC = { at: 1024 + 0x38, bytes: Buffer.from('53ef', 'hex') };
const HEAD_BYTES = 2048;
const READ_BYTES = 2 ** 18;

/**
 * Opens a file and looks what it is. It is to be disposed of.
 *
 * @throws `TEMPLATE_INVALID` when it is empty; `DISK_FAILED`
 */
export async function openArchive(path: string | Buffer): Promise<Archive> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    if (size === 0) throw invalid('empty', 'The file is empty.');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    const head = buffer.subarray(0, bytesRead);
    const compression = COMPRESSIONS.find(([, magic]) => has(head, 0, magic))?.[0] ?? 'none';
    const opened = file;
    return {
      file: opened,
      bytes: size,
      compression,
      looksLike: kindOf(head, compression),
      [Symbol.asyncDispose]: () => opened.close(),
    };
  } catch (error) {
    await file?.close();
    throw diskError(`The file ${path} could not be read`, error);
  }
}

function kindOf(head: Buffer, compression: Compression): Archive['looksLike'] {
  if (compression !== 'none') return 'compressed';
  if (has(head, TAR_MAGIC.at, TAR_MAGIC.bytes)) return 'tar';
  return has(head, EXT4_MAGIC.at, EXT4_MAGIC.bytes) ? 'ext4' : 'nothing known';
}

function has(head: Buffer, at: number, bytes: Buffer): boolean {
  return head.subarray(at, at + bytes.length).equals(bytes);
}

export interface ReadOptions {
  limits: ImportLimits;
  signal: AbortSignal;
  /** Is told of bytes of the file that were read. */
  read(bytes: number): void;
  /** Takes the decompressed bytes, one piece after the other. */
  take(piece: Buffer): Promise<void> | void;
}

/**
 * Reads the archive from its beginning to its end and decompresses it, as a stream.
 *
 * @throws `TEMPLATE_INVALID` when it cannot be decompressed or is larger than the limits allow; `DEPENDENCY_MISSING`,
 * `DISK_FAILED`; the signal's reason when it aborts; what `take` throws
 */
export async function readArchive(archive: Archive, options: ReadOptions): Promise<void> {
  const { limits, signal, read, take } = options;
  const { file, bytes, compression } = archive;
  signal.throwIfAborted();
  const largest = Math.min(limits.bytes, largestByRatio(archive, limits));
  let taken = 0;
  const source = file.createReadStream({ start: 0, autoClose: false, highWaterMark: READ_BYTES });
  async function* counted(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      read(piece.length);
      yield piece;
    }
  }
  const consume = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) {
      taken += piece.length;
      if (taken > largest) throw tooLarge(bytes, largest, limits);
      await take(piece);
    }
  };
  try {
    if (compression === 'none') await pipeline(source, counted, consume, { signal });
    else await pipeline(source, counted, await decompressor(compression, signal), consume, { signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof DormouseError) throw error;
    if (compression === 'none') throw diskError('The archive could not be read', error);
    const detail = `The archive cannot be decompressed by ${compression}: it is damaged or cut off.`;
    throw invalid('unreadable', detail, { cause: error });
  }
}

function largestByRatio({ bytes, compression }: Archive, limits: ImportLimits): number {
  return compression === 'none'
    ? Number.POSITIVE_INFINITY
    : Math.max(limits.ratioFromBytes, bytes * limits.ratio);
}

function tooLarge(bytes: number, largest: number, limits: ImportLimits): DormouseError {
  if (largest === limits.bytes)
    return invalid('too-large', `The archive has more than ${limits.bytes} bytes when it is decompressed.`);
  return invalid(
    'ratio',
    `The archive has ${bytes} bytes and becomes more than ${largest} bytes: more than ${limits.ratio} for each.`,
  );
}

/** Reads decompressed bytes of its input. Programs' limits of memory keep a small file from asking for a large window. */
async function decompressor(compression: Exclude<Compression, 'none'>, signal: AbortSignal): Promise<Duplex> {
  if (compression === 'gzip') return createGunzip();
  const [program, args] =
    compression === 'xz'
      ? [await findProgram('xz', 'xz-utils'), ['--memlimit-decompress=512MiB']]
      : [await findProgram('zstd', 'zstd'), ['--memory=512MB', '--quiet']];
  return execa(program, [...args, '--decompress', '--stdout'], {
    buffer: { stdout: false },
    cancelSignal: signal,
    killSignal: 'SIGKILL',
    env: { LC_ALL: 'C' },
  }).duplex();
}
